-- Lists every relation with its kind, its name as SQL writes it, and the table of an index. Called by the
-- reactor in its first tick and after changed definitions. Scans pg_class and pg_index; takes no lock.
SELECT
    class.oid::int8 AS id,
    class.relkind::text AS kind,
    class.oid::regclass::text AS name,
    index.indrelid::int8 AS base
FROM pg_class AS class
LEFT JOIN pg_index AS index ON index.indexrelid = class.oid
