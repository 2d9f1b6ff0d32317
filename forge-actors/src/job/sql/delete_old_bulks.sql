-- Called by job/store for the duty history_expiry: $1 how many rows at most. Index
-- forge_job_bulks_started_at, which it reads from the oldest row on. Locks the rows that it deletes, and
-- skips rows that others have locked. A bulk stays for a month, and for as long as its job is not finished.
DELETE FROM forge_job_bulks
WHERE job_id IN (
    SELECT job_id FROM forge_job_bulks bulk
    WHERE started_at < now() - interval '30 days'
      AND NOT EXISTS (SELECT FROM forge_unfinished_jobs job WHERE job.id = bulk.job_id)
    ORDER BY started_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
