-- Called by cron/store.rs for the scheduler: $1 crons, $2 scheduled times, $3 statuses, $4 reasons, $5 how
-- many times, $6 the last of them, $7 whether they catch up, $8 the term, $9 jobs. A time that has a row
-- already gets no second one: only what is returned has a job. Appends to forge_cron_runs and its indexes.
INSERT INTO forge_cron_runs (
    cron_id, scheduled_at, status, reason, times, last_at, catch_up, epoch, job_id
)
SELECT cron_id, scheduled_at, status::forge_cron_status, reason::forge_cron_reason, times, last_at, catch_up,
       $8, job_id
FROM UNNEST(
    $1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::int4[], $6::timestamptz[], $7::bool[],
    $9::uuid[]
) AS run (cron_id, scheduled_at, status, reason, times, last_at, catch_up, job_id)
ON CONFLICT (cron_id, scheduled_at) DO NOTHING
RETURNING cron_id, scheduled_at
