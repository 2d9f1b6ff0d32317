-- Called by job/store for the acknowledger, and in the transaction of a job's own effect: $1 ids, $2
-- claims, $3 statuses, $4 errors, $5 attempts, $6 results, $7 failures; the last two may be shorter, since
-- their ends are null. Primary key. Locks the rows that it moves; a row whose claim has grown is not changed.
-- An attempt that failed is written down.
WITH batch AS (
    SELECT *
    FROM UNNEST($1::uuid[], $2::int4[], $3::text[], $4::text[], $5::int4[], $6::text[], $7::text[])
        AS batch (id, claim, status, error, attempt, result, failure)
), gone AS (
    DELETE FROM forge_jobs job USING batch
    WHERE job.id = batch.id AND job.claim = batch.claim AND job.status IN ('claimed', 'running')
    RETURNING job.*, batch.status AS end_status, batch.error AS end_error, batch.attempt AS end_attempt,
              batch.result::json AS result, batch.failure::json AS failure
), failed AS (
    INSERT INTO forge_failed_attempts (job_id, claim, attempt, error)
    SELECT id, claim, end_attempt, end_error
    FROM gone
    WHERE end_status IN ('failed', 'dead_letter') AND end_error IS NOT NULL
    ON CONFLICT DO NOTHING
)
INSERT INTO forge_job_history (
    id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
    last_error, created_at, concurrency_key, rate_key, timeout_ms, result, failure
)
SELECT id, name, queue, priority, end_status::forge_job_status, end_attempt, attempts_max, claim, node_id,
       args, identity, trace,
       coalesce(end_error, last_error), created_at, concurrency_key, rate_key, timeout_ms, result, failure
FROM gone
RETURNING id
