-- Called by job/admin/apply.rs for forge.cancelJob and forge.bulkJobs: $1 ids, $2 who. Primary keys; reads
-- all batch leases. Locks the rows of the jobs, or the batch leases that hold them. A job in the history is
-- not changed, also one that a transaction writes there which this statement cannot see yet. A running
-- handler is interrupted when its node next renews its leases, and its later writes about the job are
-- refused.
WITH waiting AS (
    DELETE FROM forge_jobs WHERE id = ANY ($1) RETURNING *
), held AS MATERIALIZED (
    SELECT id, node_id, jobs, begun, gone
    FROM forge_job_leases lease
    WHERE EXISTS (SELECT FROM unnest(jobs) AS job WHERE job.id = ANY ($1) AND NOT job.id = ANY (gone))
    ORDER BY id
    FOR UPDATE
), cancelled AS (
    INSERT INTO forge_job_history (
        id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
        last_error, created_at, concurrency_key, rate_key, timeout_ms
    )
    SELECT id, name, queue, priority, 'cancelled'::forge_job_status, attempt, attempts_max, claim, node_id,
           args, identity, trace, 'cancelled by ' || $2, created_at, concurrency_key, rate_key, timeout_ms
    FROM waiting
    UNION ALL
    SELECT job.id, job.name, job.queue, job.priority, 'cancelled',
           job.attempt + (job.id = ANY (held.begun))::int, job.attempts_max, job.claim + 1, held.node_id,
           job.args, job.identity, job.trace,
           'cancelled by ' || $2, job.created_at, NULL, NULL, job.timeout_ms
    FROM held CROSS JOIN LATERAL unnest(held.jobs) AS job
    WHERE job.id = ANY ($1) AND NOT job.id = ANY (held.gone)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), struck AS (
    UPDATE forge_job_leases lease
    SET gone = lease.gone || leaving.ids
    FROM (
        SELECT held.id AS lease_id, array_agg(cancelled.id) AS ids
        FROM held
        CROSS JOIN LATERAL unnest(held.jobs) AS job
        JOIN cancelled ON cancelled.id = job.id
        GROUP BY held.id
    ) AS leaving
    WHERE lease.id = leaving.lease_id
)
SELECT id FROM cancelled
