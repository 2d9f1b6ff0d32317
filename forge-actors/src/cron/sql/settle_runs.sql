-- Called by cron/store.rs for the scheduler, for runs whose jobs have ended: $1 crons, $2 scheduled times, $3
-- statuses, $4 when each ended, null for an end that nobody knows any more. Primary key; locks the rows.
UPDATE forge_cron_runs run
SET status = ended.status::forge_cron_status,
    finished_at = coalesce(ended.finished_at, now())
FROM UNNEST($1::uuid[], $2::timestamptz[], $3::text[], $4::timestamptz[])
    AS ended (cron_id, scheduled_at, status, finished_at)
WHERE run.cron_id = ended.cron_id AND run.scheduled_at = ended.scheduled_at AND run.status = 'dispatched'
