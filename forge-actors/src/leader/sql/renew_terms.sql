-- Called by leader/store.rs every third of `leader.lease`, on the session that holds the advisory locks: $1
-- leaderships, $2 their epochs, $3 node, $4 seconds after which a row is written again. Returns one row, also
-- when the node leads nothing, since the statement keeps the session alive: the server process that ran it,
-- and the leaderships whose term still lasts. Primary key of forge_leaders. Writes and locks no row, except
-- once a minute, when it sets renewed_at: the history then says how long a lost term lasted at least. The
-- commit of that write does not wait for the disk: a renewal that a crash of the server loses was one of a
-- session that is lost as well.
WITH lasting AS (
    SELECT name, epoch
    FROM forge_leaders
    JOIN UNNEST($1::text[], $2::int8[]) AS held (name, epoch) USING (name, epoch)
    WHERE node_id = $3 AND resigned_at IS NULL
), written AS (
    UPDATE forge_leaders leader SET renewed_at = greatest(now(), leader.elected_at)
    FROM lasting
    WHERE leader.name = lasting.name AND leader.epoch = lasting.epoch
      -- After now() when the server's clock was set back.
      AND leader.renewed_at NOT BETWEEN now() - make_interval(secs => $4) AND now()
)
SELECT pg_backend_pid() AS pid,
       (SELECT coalesce(array_agg(name), '{}') FROM lasting) AS names,
       set_config('synchronous_commit', 'off', true) AS unused
