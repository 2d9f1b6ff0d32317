-- Called by job/admin/apply.rs for forge.retryJob and forge.bulkJobs: $1 ids. Both primary keys; locks the
-- rows of the jobs. A job that ended without success gets all of its attempts again, a waiting one runs at
-- once, and keeps its place in the queue if it is due already; a job that runs, has succeeded or waits for
-- other jobs is not changed. The number of the claim goes on, so that late writes of an old worker stay
-- refused.
WITH gone AS (
    DELETE FROM forge_job_history
    WHERE id = ANY ($1) AND status IN ('failed', 'dead_letter', 'cancelled')
    RETURNING *
), again AS (
    INSERT INTO forge_jobs (
        id, name, queue, priority, attempts_max, claim, ready, run_at, args, identity, trace,
        last_error, created_at, concurrency_key, rate_key, timeout_ms
    )
    SELECT id, name, queue, priority, attempts_max, claim, true, now(), args, identity, trace, last_error,
           created_at, concurrency_key, rate_key, timeout_ms
    FROM gone
    RETURNING id, queue
), at_once AS (
    UPDATE forge_jobs
    SET ready = true, run_at = least(coalesce(due_at, run_at), now()), blocked_by = NULL, due_at = NULL
    WHERE id = ANY ($1) AND status IN ('pending', 'retry') AND waits_for_jobs IS NOT TRUE
    RETURNING id, queue
)
SELECT id, queue FROM again UNION ALL SELECT id, queue FROM at_once
