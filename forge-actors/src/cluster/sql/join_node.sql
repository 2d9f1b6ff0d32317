-- Called by cluster/store.rs when a node starts, and when it finds that it was declared dead. Primary key;
-- locks its own row.
INSERT INTO forge_nodes (
    id, name, state, roles, address, mesh_address, version, protocol, build, leases_batches, capabilities,
    job_names, resources
)
VALUES ($1, $2, $3::text::forge_node_state, $4, $5, $6, $7, $8, $9, true, $10, $11, $12)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, seen_at = now(), ended_at = NULL, lost = false
