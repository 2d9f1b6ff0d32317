-- Inserts a row for changed definitions, when the fingerprint of all definitions that the result of a query
-- can depend on differs from the last fingerprint. Called by the compactor under its advisory lock, where
-- there is no event trigger; scans catalogs (about 5 ms for 1,000 tables), updates the row of
-- forge_change_state.
--
-- xmin of a catalog row is the transaction that wrote it. Bits are mixed by hashing, so that the order of
-- rows does not matter.
WITH definitions(id, version) AS (
    SELECT 'r' || oid, xmin FROM pg_class
    WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f') AND relpersistence <> 't'
    UNION ALL SELECT 'w' || oid, xmin FROM pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT 'f' || oid, xmin FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'p' || oid, xmin FROM pg_policy
    UNION ALL SELECT 'i' || inhrelid, xmin FROM pg_inherits
    UNION ALL SELECT 'n' || oid, xmin FROM pg_namespace WHERE oid >= 16384 AND nspname NOT LIKE 'pg\_%'
    UNION ALL SELECT 'e' || oid, xmin FROM pg_enum
), found AS (
    SELECT sum(hashtextextended(id || ' ' || version, 0))::text AS fingerprint FROM definitions
), moved AS (
    UPDATE forge_change_state AS state SET fingerprint = hashtextextended(found.fingerprint, 0) FROM found
    WHERE state.fingerprint IS DISTINCT FROM hashtextextended(found.fingerprint, 0)
    RETURNING true
)
INSERT INTO forge_changes (tbl, op) SELECT 0, 'X' FROM moved
