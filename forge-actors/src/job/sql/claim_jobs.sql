-- Called by job/store.rs for the claimer: $1 queue, $2 names of jobs with a handler, $3 limit, $4 node, $5
-- seconds of the lease, $6 how many of the jobs begin with the claim, because workers are free for them: the
-- first ones; $7 bytes of arguments, of which the last job may be the part beyond. The other jobs spend no
-- attempt. Reads the index forge_jobs_claimable in its order. Locks the rows that it looks at, and skips rows
-- that other claims have locked.
WITH next AS (
    SELECT id, priority, run_at, octet_length(args::text) AS bytes
    FROM forge_jobs
    WHERE queue = $1 AND ready AND node_id IS NULL AND name = ANY ($2)
    ORDER BY priority DESC, run_at, id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), numbered AS (
    SELECT id, row_number() OVER turn <= $6 AS begins, sum(bytes) OVER turn - bytes < $7 AS fits
    FROM next
    WINDOW turn AS (ORDER BY priority DESC, run_at, id)
), taken AS (
    UPDATE forge_jobs job
    SET status = CASE WHEN numbered.begins THEN 'running'::forge_job_status ELSE 'claimed' END,
        attempt = job.attempt + numbered.begins::int,
        claim = job.claim + 1,
        node_id = $4,
        lease_until = now() + make_interval(secs => $5)
    FROM numbered
    WHERE job.id = numbered.id AND numbered.fits
    RETURNING job.*
)
SELECT id, name, queue, claim, status = 'running' AS begun, attempt, attempts_max, args::text AS args,
       identity::text AS identity, trace, refused_by,
       extract(epoch FROM now() - run_at)::float8 AS waited
FROM taken
ORDER BY priority DESC, run_at, id
