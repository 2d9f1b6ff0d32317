-- Called by leader/store.rs for forge.leaders: $1 the lease in seconds. Reads all of forge_leaders, a handful
-- of rows; no lock.
-- `state` and `renewed_at` are those of the session that holds the lock of the leadership
-- (Leadership::lock_key), since the column renewed_at is written once a minute only. The session's name ends
-- with the node's id (db/session_name.rs): one of another node has the lock but no term yet. Where the name
-- says no node, or this role may not see the session's activity, the node leads while the lock is held.
SELECT leader.name, leader.epoch, leader.node_id, leader.node_name, leader.elected_at,
       coalesce(session.used_at, leader.renewed_at) AS renewed_at, leader.resigned_at,
       CASE WHEN leader.resigned_at IS NOT NULL THEN 'resigned'
            WHEN session.pid IS NULL OR session.used_at < now() - make_interval(secs => $1) THEN 'expired'
            ELSE 'leading' END AS state
FROM forge_leaders leader
CROSS JOIN LATERAL (
    SELECT convert_to('forge/system/leader/' || leader.name, 'UTF8') AS name
) AS lock_name
CROSS JOIN LATERAL (
    SELECT ('x' || encode(substr(sha256(lock_name.name), 1, 8), 'hex'))::bit(64)::bigint AS number
) AS key
LEFT JOIN LATERAL (
    SELECT lock.pid, activity.state_change AS used_at
    FROM pg_locks lock
    LEFT JOIN pg_stat_activity activity ON activity.pid = lock.pid
    WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 1
      AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (lock.classid::bigint << 32 | lock.objid::bigint) = key.number
      AND coalesce(substring(activity.application_name FROM '#([0-9a-f]+)$'), '')
          IN ('', right(replace(leader.node_id::text, '-', ''), 12))
    LIMIT 1
) AS session ON true
ORDER BY leader.name
