-- Called by job/insert.rs for a debounced dispatch that has found a job, in the transaction of the
-- dispatching call: $1 job, $2 seconds to wait from now, $3 seconds from the dispatch of the job at most;
-- what the new dispatch says: $4 arguments, $5 whether it may be claimed in a batch lease, $6 identity, $7
-- trace, $8 priority, $9 attempts, $10 and $11 keys of its limits, $12 time limit. Primary key; locks the row
-- of the job. A job that has been claimed is not changed.
UPDATE forge_jobs
SET ready = false,
    run_at = least(now() + make_interval(secs => $2), created_at + make_interval(secs => $3)),
    args = $4::json,
    batched = $5,
    identity = $6::json,
    trace = $7,
    priority = $8,
    attempts_max = $9,
    concurrency_key = $10,
    rate_key = $11,
    timeout_ms = $12,
    blocked_by = NULL,
    due_at = NULL
WHERE id = $1 AND status = 'pending' AND claim = 0 AND node_id IS NULL
RETURNING id
