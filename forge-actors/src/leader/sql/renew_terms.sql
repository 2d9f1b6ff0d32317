-- Called by leader/store.rs every third of `leader.lease`, on the session that holds the advisory locks: $1
-- leaderships, $2 their epochs, $3 node. Returns one row, also when the node leads nothing, since the
-- statement keeps the session alive: the server process that ran it, and the leaderships whose term still
-- lasts. Primary key of forge_leaders; locks the rows of these leaderships. The commit does not wait for the
-- disk: a renewal that a crash of the server loses was one of a session that is lost as well.
WITH renewed AS (
    UPDATE forge_leaders leader SET renewed_at = now()
    FROM UNNEST($1::text[], $2::int8[]) AS held (name, epoch)
    WHERE leader.name = held.name AND leader.epoch = held.epoch AND leader.node_id = $3
      AND leader.resigned_at IS NULL
    RETURNING leader.name
)
SELECT pg_backend_pid() AS pid,
       (SELECT coalesce(array_agg(name), '{}') FROM renewed) AS names,
       set_config('synchronous_commit', 'off', true) AS unused
