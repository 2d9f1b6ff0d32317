-- Called by cluster/store.rs at every heartbeat: $1 node, $2 state, $3 how its clock differs. Writes the row
-- of the node, unless it was declared dead, and lists the nodes as sql/list_nodes.sql does. A statement does
-- not see what it writes, so the new state and time of the row are taken from its update. Locks its own row.
WITH beat AS (
    UPDATE forge_nodes SET state = $2::text::forge_node_state, seen_at = now(), clock_offset_ms = $3
    WHERE id = $1 AND state <> 'dead'
    RETURNING id, state, seen_at
)
SELECT node.id, name, coalesce(beat.state, node.state) AS state, roles, address, mesh_address, version,
       protocol, started_at, coalesce(beat.seen_at, node.seen_at) AS seen_at, ended_at, lost,
       beat.id IS NOT NULL AS is_written
FROM forge_nodes AS node
LEFT JOIN beat ON beat.id = node.id
WHERE node.state <> 'dead' OR (node.seen_at > now() - interval '1 hour' AND NOT EXISTS (
    SELECT FROM forge_nodes AS successor
    WHERE successor.name = node.name AND (
        successor.started_at > node.seen_at
        OR (successor.address = node.address AND successor.started_at > node.started_at)
    )
))
ORDER BY started_at, node.id
