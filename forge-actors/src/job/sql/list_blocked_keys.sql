-- Called by job/store/unblock.rs for a sweep, while jobs are blocked: $1 the key after which to go on, $2
-- keys at most, $3 names of the handlers that this node can run. Walks through the index forge_jobs_blocked
-- from key to key, and counts in forge_jobs_concurrency, up to 10,000, which is the largest limit; no lock.
-- `name` is null for a key none of whose jobs this node can run, and for a key of a rate limit whose window
-- is full.
WITH RECURSIVE walk AS (
    (SELECT blocked_by AS key, 1 AS number FROM forge_jobs WHERE blocked_by > $1 ORDER BY blocked_by LIMIT 1)
    UNION ALL
    SELECT (SELECT blocked_by FROM forge_jobs WHERE blocked_by > walk.key ORDER BY blocked_by LIMIT 1),
           walk.number + 1
    FROM walk
    WHERE walk.key IS NOT NULL AND walk.number < $2
)
SELECT walk.key,
       CASE WHEN held.opens_at IS NULL OR held.opens_at <= now() THEN job.name END AS name,
       job.is_rate, ready.count AS ready, held.limit_override
FROM walk
LEFT JOIN LATERAL (
    SELECT name, blocked_by IS DISTINCT FROM concurrency_key AS is_rate
    FROM forge_jobs
    WHERE blocked_by = walk.key AND name = ANY ($3)
    LIMIT 1
) AS job ON true
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM forge_jobs
        WHERE concurrency_key = walk.key AND ready AND (node_id IS NOT NULL OR name = ANY ($3))
        LIMIT 10000
    ) AS counted
) AS ready
LEFT JOIN forge_job_limits held ON held.key = walk.key
WHERE walk.key IS NOT NULL
ORDER BY walk.key
