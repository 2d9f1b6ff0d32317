-- Called by job/admin/apply.rs for forge.discardJob and forge.bulkJobs: $1 ids, $2 who. Both primary keys;
-- locks the rows of the jobs. A job that waits ends, one that failed for good leaves the failures; both are
-- `cancelled` then, and keep the error that they had. A job that a node holds, or that ended otherwise, is
-- not changed. The row of a finished job stays, because a batch lease may still need it.
WITH waiting AS (
    DELETE FROM forge_jobs WHERE id = ANY ($1) AND status IN ('pending', 'retry') RETURNING *
), ended AS (
    INSERT INTO forge_job_history (
        id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
        last_error, created_at, concurrency_key, rate_key, timeout_ms
    )
    SELECT id, name, queue, priority, 'cancelled', attempt, attempts_max, claim, node_id, args, identity,
           trace, concat_ws(': ', 'discarded by ' || $2, last_error), created_at, concurrency_key, rate_key,
           timeout_ms
    FROM waiting
    RETURNING id
), failed AS (
    UPDATE forge_job_history
    SET status = 'cancelled', last_error = concat_ws(': ', 'discarded by ' || $2, last_error)
    WHERE id = ANY ($1) AND status IN ('failed', 'dead_letter')
    RETURNING id
)
SELECT id FROM ended UNION ALL SELECT id FROM failed
