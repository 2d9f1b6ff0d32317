-- Called by cron/store.rs for the scheduler: $1 names of handlers, $2 crons with a run that waits and may
-- start, $3 how many at most. Index forge_crons_due and primary key. Locks the rows, and skips those that a
-- person pauses or an application changes at this moment.
SELECT id, name, handler, args::text AS args, identity::text AS identity, expression, timezone,
       overlap::text AS overlap, catch_up, jitter_ms, queue, priority, attempts_max, next_at, now() AS now
FROM forge_crons
WHERE paused_at IS NULL AND NOT is_absent AND handler = ANY ($1) AND (next_at <= now() OR id = ANY ($2))
ORDER BY next_at
LIMIT $3
FOR NO KEY UPDATE SKIP LOCKED
