-- Called by job/admin.rs for forge.cancelJob: $1 id, $2 who. Primary key; locks the row of the job. A running
-- handler is interrupted when its node next renews its leases, and its later writes about the job are
-- refused.
WITH gone AS (
    DELETE FROM forge_jobs WHERE id = $1 RETURNING *
)
INSERT INTO forge_job_history (
    id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
    last_error, created_at
)
SELECT id, name, queue, priority, 'cancelled', attempt, attempts_max, claim, node_id, args, identity, trace,
       'cancelled by ' || $2, created_at
FROM gone
RETURNING id
