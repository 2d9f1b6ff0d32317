-- Called by job/store for the acknowledger: $1 ids, $2 claims, $3 statuses, $4 errors, $5 seconds to wait,
-- $6 attempts that are spent, $7 the build that could not read the arguments, or null. Primary key. Locks the
-- rows that it changes; a row whose claim has grown is not changed. A job that need not wait keeps its place
-- in the queue. An attempt that failed is written down.
WITH returned AS (
    UPDATE forge_jobs job
    SET status = batch.status::forge_job_status,
        attempt = batch.attempt,
        ready = batch.delay <= 0,
        run_at = CASE
            WHEN batch.delay <= 0 THEN job.run_at
            ELSE now() + make_interval(secs => batch.delay)
        END,
        last_error = coalesce(batch.error, job.last_error),
        refused_by = CASE
            WHEN batch.refused_by IS NULL OR batch.refused_by = ANY (job.refused_by) THEN job.refused_by
            ELSE array_append(job.refused_by, batch.refused_by)
        END,
        node_id = NULL,
        lease_until = NULL
    FROM UNNEST($1::uuid[], $2::int4[], $3::text[], $4::text[], $5::float8[], $6::int4[], $7::text[])
        AS batch (id, claim, status, error, delay, attempt, refused_by)
    WHERE job.id = batch.id AND job.claim = batch.claim AND job.status IN ('claimed', 'running')
    RETURNING job.id, batch.claim, batch.attempt, batch.status, batch.error
), failed AS (
    INSERT INTO forge_failed_attempts (job_id, claim, attempt, error)
    SELECT id, claim, attempt, error
    FROM returned
    WHERE status = 'retry' AND error IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT id FROM returned
