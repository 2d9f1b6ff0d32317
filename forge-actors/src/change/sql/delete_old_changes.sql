-- Deletes at most $1 changes behind the horizon, oldest first, and those of another server that came here in a dump. Called by the compactor under its
-- advisory lock, behind advance_horizon.sql in the same transaction; forge_changes_xid.
DELETE FROM forge_changes WHERE ctid = ANY (ARRAY(
    (SELECT ctid FROM forge_changes WHERE xid < (SELECT horizon FROM forge_change_state) ORDER BY xid LIMIT $1)
    UNION ALL
    (SELECT ctid FROM forge_changes WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT $1)
))
