-- Called by cron/store.rs for the scheduler: $1 how many at most. Index forge_cron_runs_open; no lock.
SELECT cron_id, scheduled_at, catch_up, job_id FROM forge_cron_runs
WHERE status IN ('waiting', 'dispatched')
ORDER BY cron_id, scheduled_at
LIMIT $1
