-- Called by job/ageing.rs for the leader of `jobs`: $1 seconds after which a job that is due is raised, and
-- raised again, $2 jobs at most of each queue and priority. Walks through the index forge_jobs_claimable from
-- queue to queue and priority to priority, and reads each from its oldest job on. Skips rows that claims have
-- locked.
WITH RECURSIVE walk AS (
    (
        SELECT queue, priority FROM forge_jobs
        WHERE ready AND node_id IS NULL
        ORDER BY queue, priority DESC
        LIMIT 1
    )
    UNION ALL
    SELECT next.queue, next.priority
    FROM walk CROSS JOIN LATERAL (
        (
            SELECT queue, priority FROM forge_jobs
            WHERE ready AND node_id IS NULL AND queue = walk.queue AND priority < walk.priority
            ORDER BY queue, priority DESC
            LIMIT 1
        )
        UNION ALL
        (
            SELECT queue, priority FROM forge_jobs
            WHERE ready AND node_id IS NULL AND queue > walk.queue
            ORDER BY queue, priority DESC
            LIMIT 1
        )
        LIMIT 1
    ) AS next
), old AS MATERIALIZED (
    SELECT job.id
    FROM walk CROSS JOIN LATERAL (
        SELECT id FROM forge_jobs
        WHERE ready AND node_id IS NULL AND queue = walk.queue AND priority = walk.priority
          AND run_at < now() - make_interval(secs => $1)
          AND coalesce(aged_at, run_at) < now() - make_interval(secs => $1)
        ORDER BY run_at, id
        LIMIT $2
    ) AS job
    WHERE walk.priority < 100
), locked AS MATERIALIZED (
    SELECT job.id FROM old JOIN forge_jobs job ON job.id = old.id
    WHERE job.ready AND job.node_id IS NULL
    FOR UPDATE OF job SKIP LOCKED
)
UPDATE forge_jobs job
SET priority = least(100, job.priority + 25), aged_at = now()
FROM locked
WHERE job.id = locked.id
RETURNING job.queue
