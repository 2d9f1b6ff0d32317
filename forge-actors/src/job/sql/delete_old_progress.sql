-- Called by job/store for the duty history_expiry: $1 seconds of retention, $2 how many jobs at most. Index
-- forge_job_progress_finished_at, primary key of forge_job_log. Locks the rows that it deletes, and skips rows
-- that another node writes.
WITH old AS (
    SELECT id FROM forge_job_progress
    WHERE finished_at < now() - make_interval(secs => $1)
    LIMIT $2
    FOR UPDATE SKIP LOCKED
), lines AS (
    DELETE FROM forge_job_log WHERE job_id IN (SELECT id FROM old)
)
DELETE FROM forge_job_progress WHERE id IN (SELECT id FROM old)
