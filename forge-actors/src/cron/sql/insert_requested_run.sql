-- Called by cron/admin.rs for forge.runCron: $1 cron, $2 job, $3 who asked. Appends to forge_cron_runs. Two
-- requests in one microsecond would have one key: the second one is refused.
INSERT INTO forge_cron_runs (cron_id, scheduled_at, last_at, status, requested_by, job_id)
VALUES ($1, now(), now(), 'dispatched', $3, $2)
