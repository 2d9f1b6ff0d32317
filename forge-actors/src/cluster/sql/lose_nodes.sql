-- Called by cluster/store.rs at every heartbeat of a node whose own are in order. Reads the whole table, which is small; locks the rows
-- that it changes and leaves those alone that somebody else is changing: a node that beats in this moment lives.
UPDATE forge_nodes SET state = 'dead', ended_at = now(), lost = true
WHERE id IN (
    SELECT id FROM forge_nodes
    WHERE state <> 'dead' AND id <> $1 AND seen_at < now() - make_interval(secs => $2)
    FOR UPDATE SKIP LOCKED
)
RETURNING id, name
