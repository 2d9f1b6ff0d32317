-- Called by cluster/store.rs when a node joins, and by forge.nodes and forge.overview. Reads the whole
-- table, which is small, and once more for each row of a dead node. Dead nodes are listed for an hour,
-- unless the name came back: a process of that name has started since, or has taken the address over. A
-- process of the same name that ran beside the dead one (several nodes may share a name) does not hide it.
-- No lock.
SELECT id, name, state, roles, address, mesh_address, version, protocol, started_at, seen_at, ended_at, lost
FROM forge_nodes AS node
WHERE state <> 'dead' OR (seen_at > now() - interval '1 hour' AND NOT EXISTS (
    SELECT FROM forge_nodes AS successor
    WHERE successor.name = node.name AND (
        successor.started_at > node.seen_at
        OR (successor.address = node.address AND successor.started_at > node.started_at)
    )
))
ORDER BY started_at, id
