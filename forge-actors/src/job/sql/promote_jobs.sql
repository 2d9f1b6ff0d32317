-- Called by job/store for the claimer. Index forge_jobs_scheduled. Locks the rows whose time has come, and
-- skips rows that other nodes make ready. A statement does not see its own writes, so the next scheduled job
-- is looked for beyond now().
WITH due AS (
    SELECT id FROM forge_jobs
    WHERE NOT ready AND run_at <= now()
    ORDER BY run_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
), promoted AS (
    UPDATE forge_jobs job SET ready = true FROM due WHERE job.id = due.id RETURNING job.queue
)
SELECT (SELECT array_agg(DISTINCT queue) FROM promoted) AS queues,
       CASE WHEN (SELECT count(*) FROM promoted) >= 1000 THEN 0
            ELSE (
                SELECT extract(epoch FROM min(run_at) - now())::float8 FROM forge_jobs
                WHERE NOT ready AND run_at > now()
            ) END AS next_due
