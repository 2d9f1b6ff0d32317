-- Called by job/store for the claimer. Index forge_jobs_scheduled; the rows are taken by their places, as in
-- sql/claim_jobs.sql. Locks the rows whose time has come, and
-- skips rows that other nodes make ready. A statement does not see its own writes, so the next scheduled job
-- is looked for beyond now(). The queues with ready jobs that nothing holds are found in the index
-- forge_jobs_claimable, by a walk from queue to queue; jobs that a limit blocks in forge_jobs_blocked, and
-- leases that have run out by a look at all that are held.
WITH RECURSIVE due AS (
    SELECT ctid AS tid FROM forge_jobs
    WHERE NOT ready AND run_at <= now()
    ORDER BY run_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
), promoted AS (
    UPDATE forge_jobs SET ready = true WHERE ctid = ANY (ARRAY(SELECT tid FROM due)) RETURNING queue
), walk AS (
    (SELECT queue FROM forge_jobs WHERE ready AND node_id IS NULL ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (
        SELECT queue FROM forge_jobs
        WHERE ready AND node_id IS NULL AND queue > walk.queue
        ORDER BY queue
        LIMIT 1
    )
    FROM walk
    WHERE walk.queue IS NOT NULL
)
SELECT (SELECT array_agg(DISTINCT queue) FROM promoted) AS queues,
       CASE WHEN (SELECT count(*) FROM promoted) >= 1000 THEN 0
            ELSE (
                SELECT extract(epoch FROM min(run_at) - now())::float8 FROM forge_jobs
                WHERE NOT ready AND run_at > now()
            ) END AS next_due,
       (SELECT array_agg(queue) FROM (SELECT queue FROM walk WHERE queue IS NOT NULL LIMIT 1000) AS found)
           AS waiting,
       EXISTS (SELECT FROM forge_jobs WHERE blocked_by IS NOT NULL) AS has_blocked,
       EXISTS (SELECT FROM forge_jobs WHERE node_id IS NOT NULL AND lease_until < now())
           OR EXISTS (SELECT FROM forge_job_leases WHERE lease_until < now()) AS has_expired
