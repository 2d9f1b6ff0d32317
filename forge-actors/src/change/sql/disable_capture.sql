-- Ends the capture of the table $1 and its partitions. Called when a model is not reactive and its table is
-- captured; locks each table against readers and writers (ACCESS EXCLUSIVE).
SELECT forge_disable_reactivity(to_regclass(quote_ident($1)))
