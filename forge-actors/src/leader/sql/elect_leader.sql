-- Called by leader/store.rs on the session that holds the advisory lock of the leadership: $1 leadership, $2
-- node, $3 its name. Returns the epoch. Primary key of forge_leaders; FOR UPDATE waits for transactions of
-- the term before, which hold the row FOR KEY SHARE, for at most the session's lock_timeout. A term that was
-- not ended by its leader is closed as lost. The epoch is above those of the history too (its primary key),
-- so that none comes back when the row was deleted by hand.
WITH previous AS (
    SELECT * FROM forge_leaders WHERE name = $1 FOR UPDATE
), closed AS (
    INSERT INTO forge_leader_history (name, epoch, node_id, node_name, elected_at, renewed_at, reason)
    SELECT name, epoch, node_id, node_name, elected_at, renewed_at, 'lost'
    FROM previous
    WHERE resigned_at IS NULL
    ON CONFLICT (name, epoch) DO NOTHING
)
INSERT INTO forge_leaders (name, epoch, node_id, node_name)
VALUES (
    $1,
    greatest(
        (SELECT epoch FROM previous),
        (SELECT max(epoch) FROM forge_leader_history WHERE name = $1),
        0
    ) + 1,
    $2,
    $3
)
ON CONFLICT (name) DO UPDATE
SET epoch = EXCLUDED.epoch,
    node_id = EXCLUDED.node_id,
    node_name = EXCLUDED.node_name,
    elected_at = now(),
    renewed_at = now(),
    resigned_at = NULL
RETURNING epoch
