-- Called by cron/admin.rs for forge.cron: $1 cron, $2 limit. Primary key of forge_cron_runs, backwards; no
-- lock.
SELECT cron_id, scheduled_at, status::text AS status, reason::text AS reason, times, last_at,
       catch_up AS is_catch_up, requested_by, job_id, started_at, finished_at
FROM forge_cron_runs
WHERE cron_id = $1
ORDER BY scheduled_at DESC
LIMIT $2
