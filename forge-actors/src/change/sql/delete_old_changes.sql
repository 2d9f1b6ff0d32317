-- Deletes at most $1 changes from before the horizon, oldest first, and those that came in a dump of another
-- server. Called by the compactor under its advisory lock, after advance_horizon.sql in the same transaction;
-- uses the index forge_changes_xid.
DELETE FROM forge_changes WHERE ctid = ANY (ARRAY(
    (
        SELECT ctid FROM forge_changes
        WHERE xid < (SELECT horizon FROM forge_change_state) ORDER BY xid LIMIT $1
    )
    UNION ALL
    (SELECT ctid FROM forge_changes WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT $1)
))
