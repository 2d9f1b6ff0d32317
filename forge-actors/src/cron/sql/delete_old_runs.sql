-- Called by cron/store.rs for the duty run_expiry: $1 seconds of retention, $2 how many rows at most. Index
-- forge_cron_runs_created_at. Locks the rows that it deletes. What waits or runs stays.
DELETE FROM forge_cron_runs
WHERE (cron_id, scheduled_at) IN (
    SELECT cron_id, scheduled_at FROM forge_cron_runs
    WHERE created_at < now() - make_interval(secs => $1) AND status NOT IN ('waiting', 'dispatched')
    ORDER BY created_at
    LIMIT $2
)
