-- Called by job/store for the duty history_expiry of the leader of `jobs`: $1 rows at most. Reads as many
-- entries of the index forge_job_keys_expires_at from its beginning; skips rows that dispatches have locked.
-- A key without a time is kept while its job is not finished, and is looked at again a day later. Returns the
-- deleted ones.
WITH old AS (
    SELECT key, expires_at, job_id FROM forge_job_keys
    WHERE coalesce(expires_at, created_at) < now() - interval '1 day'
    ORDER BY coalesce(expires_at, created_at)
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), judged AS MATERIALIZED (
    SELECT key,
           expires_at IS NULL
           AND NOT EXISTS (SELECT FROM forge_job_history history WHERE history.id = old.job_id)
           AND (
               EXISTS (SELECT FROM forge_jobs job WHERE job.id = old.job_id)
               OR EXISTS (
                   SELECT FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS job
                   WHERE job.id = old.job_id
               )
           ) AS is_kept
    FROM old
), kept AS (
    UPDATE forge_job_keys held SET created_at = now() FROM judged WHERE held.key = judged.key AND judged.is_kept
)
DELETE FROM forge_job_keys held USING judged WHERE held.key = judged.key AND NOT judged.is_kept
