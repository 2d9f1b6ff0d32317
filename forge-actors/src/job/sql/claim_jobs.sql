-- Called by job/store for the claimer: $1 queue, $2 names of the handlers whose jobs this node may claim now,
-- $3 jobs at most, $4 node, $5 seconds of the lease, $6 how many of the first jobs begin with the claim,
-- because workers are free for them, $7 bytes of arguments (the job that reaches them is the last one), $8 id
-- of the batch lease, or null to claim every job on its own row, $9 names of handlers with a limit, $10
-- whether the settings of the queue were looked at under their lock (else nothing is claimed from a queue
-- that is paused or has a limit), $11 names of handlers that need resources. A job of $9 with a key, and each
-- job of $11, is not claimed but returned as a candidate, with whether it would begin. A job whose next
-- attempt is its last one is claimed on its own row, where the begin is written: it never starts twice. Reads
-- the index forge_jobs_claimable in its order. Locks the rows that it looks at, and skips rows that others
-- have locked.
-- The plan is kept (Database::jobs): `ctid = ANY (ARRAY(ids))` is read by place under every plan, where a join
-- by id might read the whole table, and so is `LIMIT (SELECT $3)` planned alike for every $3. The locks of
-- `next` keep the places; a row that was changed after the statement had begun is left for the next claim.
WITH next AS (
    SELECT id, ctid AS tid, priority, run_at, octet_length(args::text) AS bytes,
           batched AND attempt + 1 < attempts_max AND $8::uuid IS NOT NULL AS batched,
           (concurrency_key IS NOT NULL OR rate_key IS NOT NULL) AND name = ANY ($9)
               OR name = ANY ($11) AS limited
    FROM forge_jobs
    WHERE queue = $1 AND ready AND node_id IS NULL AND name = ANY ($2)
      AND ($10::bool OR NOT EXISTS (SELECT FROM forge_job_queues settings WHERE settings.queue = $1))
    ORDER BY priority DESC, run_at, id
    LIMIT (SELECT $3)
    FOR UPDATE SKIP LOCKED
), numbered AS MATERIALIZED (
    SELECT tid, batched, limited, row_number() OVER turn <= $6 AS begins,
           sum(bytes) OVER turn - bytes < $7 AS fits
    FROM next
    WINDOW turn AS (ORDER BY priority DESC, run_at, id)
), batch AS (
    DELETE FROM forge_jobs job
    WHERE ctid = ANY (ARRAY(SELECT tid FROM numbered WHERE fits AND batched AND NOT limited))
    RETURNING job AS row
), lease AS (
    INSERT INTO forge_job_leases (id, node_id, lease_until, jobs)
    SELECT $8, $4, now() + make_interval(secs => $5), array_agg(row)
    FROM batch
    HAVING count(*) > 0
), taken AS (
    UPDATE forge_jobs job
    SET status = CASE WHEN ctid = ANY (ARRAY(SELECT tid FROM numbered WHERE begins))
            THEN 'running'::forge_job_status ELSE 'claimed' END,
        attempt = job.attempt + (ctid = ANY (ARRAY(SELECT tid FROM numbered WHERE begins)))::int,
        claim = job.claim + 1,
        node_id = $4,
        lease_until = now() + make_interval(secs => $5)
    WHERE ctid = ANY (ARRAY(SELECT tid FROM numbered WHERE fits AND NOT batched AND NOT limited))
    RETURNING job AS row
), found AS (
    SELECT row, true AS batched, NULL::bool AS would_begin FROM batch
    UNION ALL
    SELECT row, false, NULL FROM taken
    UNION ALL
    SELECT job, false, ctid = ANY (ARRAY(SELECT tid FROM numbered WHERE begins))
    FROM forge_jobs job
    WHERE ctid = ANY (ARRAY(SELECT tid FROM numbered WHERE fits AND limited))
)
SELECT (row).id, (row).name, (row).queue, (row).priority, batched, (row).claim + batched::int AS claim,
       (row).status = 'running' AS begun, (row).attempt, (row).attempts_max, (row).args::text AS args,
       (row).identity::text AS identity, (row).trace, (row).last_error, (row).created_at, (row).refused_by,
       extract(epoch FROM now() - (row).run_at)::float8 AS waited,
       (row).concurrency_key, (row).rate_key, (row).timeout_ms, (row).followed, (row).awaited,
       would_begin
FROM found
ORDER BY (row).priority DESC, (row).run_at, (row).id
