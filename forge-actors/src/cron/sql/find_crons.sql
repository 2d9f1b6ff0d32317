-- Called by cron/admin.rs for the functions about one cron: $1 its name, or its id. Two rows at most, which
-- is one too many. Reads all of forge_crons; no lock.
SELECT cron.id, cron.name, cron.tenant, cron.source::text AS source, cron.handler, cron.expression,
       cron.timezone, cron.overlap::text AS overlap, cron.catch_up, cron.jitter_ms, cron.queue, cron.next_at,
       cron.paused_at, cron.paused_by, cron.is_absent, cron.problem, cron.created_at, now() AS now,
       cron.args::text AS args, cron.identity::text AS identity, cron.priority, cron.attempts_max
FROM forge_crons cron
WHERE cron.id::text = $1 OR cron.name = $1
ORDER BY cron.id::text = $1 DESC, cron.id
LIMIT 2
