-- Called by job/store/unblock.rs for a sweep, while jobs are blocked: $1 the key after which to go on, $2
-- keys at most. Walks through the index forge_jobs_blocked from key to key, and counts in
-- forge_jobs_concurrency; no lock. A key of a rate limit is left out until its time has come.
WITH RECURSIVE walk AS (
    (SELECT blocked_by AS key, 1 AS number FROM forge_jobs WHERE blocked_by > $1 ORDER BY blocked_by LIMIT 1)
    UNION ALL
    SELECT (SELECT blocked_by FROM forge_jobs WHERE blocked_by > walk.key ORDER BY blocked_by LIMIT 1),
           walk.number + 1
    FROM walk
    WHERE walk.key IS NOT NULL AND walk.number < $2
)
SELECT walk.key, job.name, job.is_rate, open.count AS unblocked, held.limit_override, walk.number = $2 AS is_last
FROM walk
CROSS JOIN LATERAL (
    SELECT name, blocked_by IS DISTINCT FROM concurrency_key AS is_rate
    FROM forge_jobs
    WHERE blocked_by = walk.key
    LIMIT 1
) AS job
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM forge_jobs WHERE concurrency_key = walk.key AND ready LIMIT 10000
    ) AS counted
) AS open
LEFT JOIN forge_job_limits held ON held.key = walk.key
WHERE walk.key IS NOT NULL AND (held.opens_at IS NULL OR held.opens_at <= now())
