-- Reads what was committed since the snapshot $1 (null: the first poll), in the snapshot of this statement;
-- at most $2 rows. Called by the tail at every poll; the function's two index scans use forge_changes_xid.
-- Takes no lock.
SELECT snapshot::text, horizon::text, server_started, too_many, tables
FROM forge_read_changes($1::text::pg_snapshot, $2)
