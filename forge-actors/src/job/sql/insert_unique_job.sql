-- Called by job/insert.rs for a unique dispatch, in the transaction of the dispatching call: as
-- sql/insert_job.sql; $15 the key, $16 seconds for which it is kept, null for as long as the job is not
-- finished. Locks the row of the key until the transaction ends, so a second dispatch with the key waits for
-- the first. Inserts the job only when the key was free. Returns the job that has the key.
WITH held AS (
    INSERT INTO forge_job_keys AS former (key, job_id, expires_at)
    VALUES ($15, $1, now() + make_interval(secs => $16))
    ON CONFLICT (key) DO UPDATE SET key = former.key
    RETURNING job_id, coalesce(expires_at > now(), true) AS is_within
), inserted AS (
    INSERT INTO forge_jobs (
        id, name, queue, priority, attempts_max, ready, run_at, args, identity, trace, batched,
        concurrency_key, rate_key, timeout_ms, blocked_by, due_at
    )
    SELECT $1, $2, $3, $4, $5,
           due.now AND blocked.by IS NULL,
           CASE WHEN blocked.by IS NULL THEN due.at ELSE '9999-12-31' END,
           $7::json, $8::json, $9, $10, $12::text, $13::text, $14::int8,
           blocked.by,
           CASE WHEN blocked.by IS NOT NULL THEN due.at END
    FROM held
    CROSS JOIN (
        SELECT coalesce($11::timestamptz <= now(), $6::float8 <= 0) AS now,
               greatest(coalesce($11, now() + make_interval(secs => $6)), now()) AS at
    ) AS due
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN NOT due.now THEN NULL
            WHEN EXISTS (SELECT FROM forge_jobs WHERE blocked_by = $12) THEN $12
            WHEN EXISTS (SELECT FROM forge_jobs WHERE blocked_by = $13) THEN $13
        END AS by
    ) AS blocked
    WHERE held.job_id = $1
)
SELECT job_id, is_within FROM held
