-- Called by job/insert.rs for the dispatch of a job with a limit, in the transaction of a call or in one of
-- its own: $6 seconds to wait, unless $11 says when the job may run; $10 whether it may be claimed in a batch
-- lease; $12 time limit; $13 whether another job waits for it; $14 key of its concurrency limit, $15 of its
-- rate limit, of which one may be null. Appends to forge_jobs and its indexes; locks only its own row. A job
-- that is due waits behind the others that a limit of its own blocks (index forge_jobs_blocked), out of reach
-- of promotions and claims. ORDER BY makes the planner use the index: when most jobs are blocked, the server
-- would look for a key from the beginning of the table.
INSERT INTO forge_jobs (
    id, name, queue, priority, attempts_max, ready, run_at, args, identity, trace, batched,
    concurrency_key, rate_key, timeout_ms, blocked_by, due_at, awaited
)
SELECT $1, $2, $3, $4, $5,
       due.now AND blocked.by IS NULL,
       CASE WHEN blocked.by IS NULL THEN due.at ELSE '9999-12-31' END,
       $7::json, $8::json, $9, $10, $14::text, $15::text, $12::int8,
       blocked.by,
       CASE WHEN blocked.by IS NOT NULL THEN due.at END,
       $13::bool
FROM (
    SELECT coalesce($11::timestamptz <= now(), $6::float8 <= 0) AS now,
           greatest(coalesce($11, now() + make_interval(secs => $6)), now()) AS at
) AS due
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN NOT due.now THEN NULL
        WHEN $14 IS NOT NULL AND (
            SELECT blocked_by FROM forge_jobs WHERE blocked_by >= $14 ORDER BY blocked_by LIMIT 1
        ) = $14 THEN $14
        WHEN $15 IS NOT NULL AND (
            SELECT blocked_by FROM forge_jobs WHERE blocked_by >= $15 ORDER BY blocked_by LIMIT 1
        ) = $15 THEN $15
    END AS by
) AS blocked
