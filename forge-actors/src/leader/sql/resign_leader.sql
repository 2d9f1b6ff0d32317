-- Called by leader/store.rs on the session that holds the advisory lock, before the lock is released: $1
-- leadership, $2 epoch, $3 node. Primary key of forge_leaders; locks one row. Nothing happens when the term
-- has ended already.
WITH ended AS (
    UPDATE forge_leaders SET resigned_at = now()
    WHERE name = $1 AND epoch = $2 AND node_id = $3 AND resigned_at IS NULL
    RETURNING *
)
INSERT INTO forge_leader_history (name, epoch, node_id, node_name, elected_at, renewed_at, reason)
SELECT name, epoch, node_id, node_name, elected_at, renewed_at, 'resigned' FROM ended
ON CONFLICT (name, epoch) DO NOTHING
