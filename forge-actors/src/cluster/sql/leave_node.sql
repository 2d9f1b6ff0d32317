-- Called by cluster/store.rs when a node stops in order. Primary key; locks its own row.
UPDATE forge_nodes SET state = 'dead', seen_at = now(), ended_at = now() WHERE id = $1 AND state <> 'dead'
