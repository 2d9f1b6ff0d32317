-- Every relation with its kind, its name as SQL says it, and the table that an index belongs to. The reactor asks when it starts and when
-- definitions changed. Scans pg_class and pg_index; no lock beyond that of any reader.
SELECT class.oid::int8 AS id, class.relkind::text AS kind, class.oid::regclass::text AS name, index.indrelid::int8 AS base
FROM pg_class AS class
LEFT JOIN pg_index AS index ON index.indexrelid = class.oid
