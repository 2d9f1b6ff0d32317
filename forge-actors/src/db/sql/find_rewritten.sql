-- Called by db/runs.rs after the runs of a snapshot, for those of the read relations $1 that the snapshot
-- does not know, or that have partitions or children: which of them it does not show as they were. `name`: as
-- SQL writes it, of a table that can be locked. Reads pg_class and pg_inherits by index; takes no lock on the
-- relations.
--
-- The rows of pg_class and pg_inherits are those of the snapshot, the functions read the newest catalog. A
-- partition that is detached is not locked by those who read its former parent, so the parent's partitions
-- are compared.
SELECT
    read.id::int8 AS id,
    CASE WHEN class.relkind IS NULL OR class.relkind IN ('r', 'p') THEN read.id::regclass::text END AS name
FROM unnest($1::oid[]) AS read (id)
LEFT JOIN pg_class AS class ON class.oid = read.id
WHERE class.oid IS NULL
    OR EXISTS (
        SELECT FROM pg_inherits AS child
        WHERE child.inhparent = class.oid AND CASE
            WHEN class.relkind = 'p'
                THEN pg_partition_root(child.inhrelid) IS DISTINCT FROM pg_partition_root(class.oid)
            ELSE pg_relation_filenode(child.inhrelid) IS NULL
                AND (SELECT relfilenode FROM pg_class WHERE oid = child.inhrelid) <> 0
        END
    )
