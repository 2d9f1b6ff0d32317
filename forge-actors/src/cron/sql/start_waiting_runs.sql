-- Called by cron/store.rs for the scheduler, for runs that have waited for the one before: $1 crons, $2
-- scheduled times, $3 their jobs. Primary key; locks the rows. Only what is returned has a job.
UPDATE forge_cron_runs run SET status = 'dispatched', job_id = started.job_id
FROM UNNEST($1::uuid[], $2::timestamptz[], $3::uuid[]) AS started (cron_id, scheduled_at, job_id)
WHERE run.cron_id = started.cron_id AND run.scheduled_at = started.scheduled_at AND run.status = 'waiting'
RETURNING run.cron_id, run.scheduled_at
