-- Called by cluster/store.rs at the heartbeats of a node whose clock differs from the database's: $1 the
-- node, $2 the difference that is tolerated, in milliseconds. Reads the whole table, which is small; no lock.
SELECT EXISTS (
    SELECT FROM forge_nodes WHERE state = 'active' AND id <> $1 AND abs(clock_offset_ms) <= $2
)
