-- Called by job/admin.rs for forge.cancelJob: $1 id, $2 who. Primary key; locks the job's row. What runs is cut when its node next renews its leases, and
-- what it still writes is refused.
WITH gone AS (
    DELETE FROM forge_jobs WHERE id = $1 RETURNING *
)
INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace, last_error, created_at)
SELECT id, name, queue, priority, 'cancelled', attempt, attempts_max, claim, node_id, args, identity, trace, 'cancelled by ' || $2, created_at
FROM gone
RETURNING id
