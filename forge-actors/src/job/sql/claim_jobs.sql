-- Called by job/store.rs for the claimer: $1 queue, $2 names that it has handlers for, $3 limit, $4 node, $5 seconds of the lease.
-- Index forge_jobs_claimable, read in its order. Locks the rows it takes and skips those that others are taking.
WITH next AS (
    SELECT id
    FROM forge_jobs
    WHERE queue = $1 AND ready AND status IN ('pending', 'retry') AND name = ANY ($2)
    ORDER BY priority DESC, run_at, id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE forge_jobs job
    SET status = 'claimed', attempt = job.attempt + 1, claim = job.claim + 1, node_id = $4, lease_until = now() + make_interval(secs => $5)
    FROM next
    WHERE job.id = next.id
    RETURNING job.*
)
SELECT id, name, queue, claim, attempt, attempts_max, args::text AS args, identity::text AS identity, trace,
       extract(epoch FROM now() - run_at)::float8 AS waited
FROM taken
ORDER BY priority DESC, run_at, id
