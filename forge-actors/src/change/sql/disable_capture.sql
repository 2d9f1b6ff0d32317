-- Ends the capture of the table $1 and its partitions. Called at a start that finds it with; locks each against everybody (ACCESS EXCLUSIVE).
SELECT forge_disable_reactivity(to_regclass(quote_ident($1)))
