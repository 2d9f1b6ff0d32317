-- Called by job/dependencies.rs when jobs were cancelled: $1 these jobs. Index forge_job_dependencies_open,
-- primary keys. Locks the rows that it moves, and skips rows that a claim has locked, 1,000 at most: the
-- settler finds the rest. Children of a cancelled parent end with it, unless a node holds them: those end by
-- themselves. Returns the jobs that have ended by this.
WITH orphan AS (
    SELECT child.id, dependency.waiter_id
    FROM forge_job_dependencies dependency
    JOIN forge_jobs child ON child.id = dependency.job_id
    JOIN forge_job_history parent ON parent.id = dependency.waiter_id AND parent.status = 'cancelled'
    WHERE dependency.waiter_id = ANY ($1)
      AND dependency.kind = 'child'
      AND dependency.ended IS NULL
      AND child.node_id IS NULL
    ORDER BY child.id
    LIMIT 1000
    FOR UPDATE OF child SKIP LOCKED
), gone AS (
    DELETE FROM forge_jobs child USING orphan
    WHERE child.id = orphan.id
    RETURNING child.*, orphan.waiter_id
)
INSERT INTO forge_job_history (
    id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
    last_error, created_at, concurrency_key, rate_key, timeout_ms
)
SELECT id, name, queue, priority, 'cancelled', attempt, attempts_max, claim, node_id, args, identity, trace,
       'cancelled with its parent ' || waiter_id, created_at, concurrency_key, rate_key, timeout_ms
FROM gone
RETURNING id
