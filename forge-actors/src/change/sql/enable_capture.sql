-- Captures the table $1 and its partitions. Called at a start that finds it without; locks each against writers (SHARE ROW EXCLUSIVE).
SELECT forge_enable_reactivity(to_regclass(quote_ident($1)))
