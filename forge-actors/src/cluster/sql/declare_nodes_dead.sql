-- Called by cluster/store.rs at every heartbeat of a node whose own heartbeats succeed. Reads the whole
-- table, which is small. Locks the rows that it changes, and skips rows that are locked: a row that is
-- being written belongs to a node that lives.
UPDATE forge_nodes SET state = 'dead', ended_at = now(), lost = true
WHERE id IN (
    SELECT id FROM forge_nodes
    WHERE state <> 'dead' AND id <> $1 AND seen_at < now() - make_interval(secs => $2)
    FOR UPDATE SKIP LOCKED
)
RETURNING id, name
