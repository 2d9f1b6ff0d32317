-- Captures the table $1 and its partitions. Called when a model is reactive and its table is not captured;
-- locks each table against writers (SHARE ROW EXCLUSIVE).
SELECT forge_enable_reactivity(to_regclass(quote_ident($1)))
