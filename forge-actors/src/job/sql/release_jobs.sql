-- Called by job/store for the acknowledger, after sql/lock_batch_leases.sql, for jobs that leave their batch
-- lease and have not succeeded: $1 batch leases, $2 ids, $3 statuses, $4 errors, $5 seconds to wait, $6
-- attempts that are spent, $7 the build that could not read the arguments, or null, $8 whether the jobs were
-- lost, $9 failures, which may be empty: then all of them are null. Primary keys. A job that has left its
-- lease, or that is in the history, is not changed. A job that need not wait keeps its place in the queue.
-- Columns of forge_jobs that this statement does not name stay as they were. An attempt that failed is
-- written down. The jobs of a lease are unnested once, and not for each of the results.
WITH leased AS MATERIALIZED (
    SELECT lease.id AS lease_id, lease.node_id, job.id, job
    FROM forge_job_leases lease
    CROSS JOIN LATERAL unnest(lease.jobs) AS job
    WHERE lease.id = ANY ($1) AND NOT job.id = ANY (lease.gone)
), released AS MATERIALIZED (
    SELECT leased.lease_id, leased.node_id, leased.job, result.status::forge_job_status AS status,
           result.error, result.delay, result.attempt, result.refused_by, result.failure
    FROM UNNEST(
        $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::float8[], $6::int4[], $7::text[], $9::text[]
    ) AS result (lease_id, id, status, error, delay, attempt, refused_by, failure)
    JOIN leased ON leased.lease_id = result.lease_id AND leased.id = result.id
    WHERE NOT EXISTS (SELECT FROM forge_job_history history WHERE history.id = leased.id)
), struck AS (
    UPDATE forge_job_leases lease
    SET gone = lease.gone || leaving.ids
    FROM (SELECT lease_id, array_agg((job).id) AS ids FROM released GROUP BY lease_id) AS leaving
    WHERE lease.id = leaving.lease_id
), failed AS (
    INSERT INTO forge_failed_attempts (job_id, claim, attempt, error)
    SELECT (job).id, (job).claim + 1, attempt, error
    FROM released
    WHERE status IN ('retry', 'failed', 'dead_letter') AND error IS NOT NULL
    ON CONFLICT DO NOTHING
), waiting AS (
    INSERT INTO forge_jobs
    SELECT again.*
    FROM released
    CROSS JOIN LATERAL jsonb_populate_record(released.job, jsonb_build_object(
        'status', released.status,
        'attempt', released.attempt,
        'claim', (released.job).claim + 1,
        'ready', released.delay <= 0,
        'run_at', CASE
            WHEN released.delay <= 0 THEN (released.job).run_at
            ELSE now() + make_interval(secs => released.delay)
        END,
        'last_error', coalesce(released.error, (released.job).last_error),
        'refused_by', CASE
            WHEN released.refused_by IS NULL OR released.refused_by = ANY ((released.job).refused_by)
                THEN (released.job).refused_by
            ELSE array_append((released.job).refused_by, released.refused_by)
        END,
        'losses', (released.job).losses + $8::bool::int,
        'batched', NOT $8
    )) AS again
    WHERE released.status IN ('pending', 'retry')
    RETURNING id
), ended AS (
    INSERT INTO forge_job_history (
        id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
        last_error, created_at, timeout_ms, failure
    )
    SELECT (job).id, (job).name, (job).queue, (job).priority, status, attempt, (job).attempts_max,
           (job).claim + 1, node_id, (job).args, (job).identity, (job).trace,
           coalesce(error, (job).last_error), (job).created_at, (job).timeout_ms,
           failure::json
    FROM released
    WHERE status NOT IN ('pending', 'retry')
    RETURNING id
)
SELECT id FROM waiting UNION ALL SELECT id FROM ended
