-- Called by job/store for the duty history_expiry of the leader of `jobs`: $1 rows at most. Reads the index
-- forge_job_keys_expires_at from its beginning; skips rows that dispatches have locked. A key without a time
-- is kept while its job is not finished.
DELETE FROM forge_job_keys
WHERE key IN (
    SELECT key FROM forge_job_keys held
    WHERE coalesce(expires_at, created_at) < now() - interval '1 day'
      AND (
          expires_at IS NOT NULL
          OR EXISTS (SELECT FROM forge_job_history history WHERE history.id = held.job_id)
          OR NOT EXISTS (SELECT FROM forge_jobs job WHERE job.id = held.job_id)
             AND NOT EXISTS (
                 SELECT FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS job
                 WHERE job.id = held.job_id
             )
      )
    ORDER BY coalesce(expires_at, created_at)
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
