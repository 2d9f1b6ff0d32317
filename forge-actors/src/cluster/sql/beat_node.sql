-- Called by cluster/store.rs at every heartbeat. Primary key; locks its own row. No row: the node was declared dead or is gone.
UPDATE forge_nodes SET state = $2, seen_at = now() WHERE id = $1 AND state <> 'dead'
