-- Called by db/runs.rs after the runs of a snapshot, for each of the relations $1 that the snapshot knows.
-- `rewritten`: it has another file, name or parent than in the snapshot. `parent`: it has partitions or
-- children, which may be others. `name`: as SQL writes it, of a table that can be locked. Reads pg_class by
-- index, takes no lock on the relations.
--
-- The rows of pg_class are those of the snapshot, the functions read the newest catalog. This runs after
-- every round of runs, so it asks for no more than one scan: with what find_rewritten.sql asks, planning
-- alone takes 0.6 ms.
SELECT
    oid::int8 AS id,
    relkind IN ('r', 'm', 'p') AND (
        relfilenode <> 0 AND pg_relation_filenode(oid) IS DISTINCT FROM relfilenode
        OR relkind = 'r' AND relispartition <> (pg_partition_root(oid) IS NOT NULL)
        OR right('.' || oid::regclass::text, length(quote_ident(relname)) + 1) <> '.' || quote_ident(relname)
    ) AS rewritten,
    relkind IN ('r', 'p') AND relhassubclass AS parent,
    CASE WHEN relkind IN ('r', 'p') THEN oid::regclass::text END AS name
FROM pg_class WHERE oid = ANY ($1::oid[])
