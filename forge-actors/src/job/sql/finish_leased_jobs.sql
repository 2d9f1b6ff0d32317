-- Called by job/store for the acknowledger, and in the transaction of a job's own effect, for jobs of batch
-- leases that have succeeded: $1 batch leases, $2 ids, $3 names, $4 queues, $5 priorities, $6 attempts, $7
-- attempts that they have, $8 claims, $9 arguments, $10 identities, $11 traces, $12 last errors, $13 times
-- of dispatch, $14 batch leases that hold no job any more, $15 results, which may be empty: then all of them
-- are null. Both primary keys. Shares the lock of each batch lease, which a rescue and a cancel need for
-- themselves: a job whose lease is gone, or that has left it, is not changed. A job in the history is not
-- changed either, so the statement may be repeated. The leases of $14 are others than those of $1, since
-- they hold no job.
WITH held AS MATERIALIZED (
    SELECT id, node_id, gone
    FROM forge_job_leases
    WHERE id = ANY ($1)
    ORDER BY id
    FOR KEY SHARE
), ended AS (
    DELETE FROM forge_job_leases WHERE id = ANY ($14)
)
INSERT INTO forge_job_history (
    id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
    last_error, created_at, result
)
SELECT job.id, job.name, job.queue, job.priority, 'completed', job.attempt, job.attempts_max, job.claim,
       held.node_id, job.args::json, job.identity::json, job.trace, job.last_error, job.created_at,
       job.result::json
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int2[], $6::int4[], $7::int4[], $8::int4[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $15::text[]
) AS job (
    lease_id, id, name, queue, priority, attempt, attempts_max, claim, args, identity, trace, last_error,
    created_at, result
)
JOIN held ON held.id = job.lease_id
WHERE NOT job.id = ANY (held.gone)
ON CONFLICT (id) DO NOTHING
RETURNING id
