-- Called by cluster/store.rs at every heartbeat and by dashboard/nodes.rs. Reads the whole table, which is small; no lock.
SELECT id, name, state, roles, address, mesh_address, version, protocol, started_at, seen_at, ended_at, lost
FROM forge_nodes
ORDER BY started_at, id
