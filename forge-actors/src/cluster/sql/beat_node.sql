-- Called by cluster/store.rs at every heartbeat. Primary key; locks its own row. No row is updated when the
-- node was declared dead.
UPDATE forge_nodes SET state = $2::text::forge_node_state, seen_at = now(), clock_offset_ms = $3
WHERE id = $1 AND state <> 'dead'
