-- Called by cluster/store.rs for forge.overview: what happened to nodes within the last hour. Reads the whole
-- table, which is small. No lock.
SELECT id, name, state, roles, address, mesh_address, version, protocol, started_at, seen_at, ended_at, lost
FROM forge_nodes
WHERE state = 'dead' AND ended_at > now() - interval '1 hour'
ORDER BY ended_at DESC, id
LIMIT $1
