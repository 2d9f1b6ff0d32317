-- Called by job/store for the rescuer, after sql/lock_expired_leases.sql in the same transaction: $1 batch
-- leases, $2 jobs of them to leave out, because the database refuses their rows. Primary keys. What a lease
-- held waits again and counts a loss. Columns of forge_jobs that this statement does not name stay as they
-- were.
WITH lost AS MATERIALIZED (
    SELECT lease.id AS lease_id, job
    FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS job
    WHERE lease.id = ANY ($1)
      AND NOT job.id = ANY (lease.gone)
      AND NOT EXISTS (SELECT FROM forge_job_history history WHERE history.id = job.id)
      AND NOT job.id = ANY ($2)
), back AS (
    INSERT INTO forge_jobs
    SELECT again.*
    FROM lost
    CROSS JOIN LATERAL jsonb_populate_record(lost.job, jsonb_build_object(
        'claim', (lost.job).claim + 1,
        'losses', (lost.job).losses + 1,
        'batched', false,
        'last_error', 'lease expired while a node held the job (worker or node lost)'
    )) AS again
    RETURNING queue
), ended AS (
    DELETE FROM forge_job_leases
    WHERE id = ANY ($1) AND NOT EXISTS (SELECT FROM unnest(jobs) AS job WHERE job.id = ANY ($2))
), kept AS (
    UPDATE forge_job_leases lease
    SET gone = lease.gone || leaving.ids
    FROM (SELECT lease_id, array_agg((job).id) AS ids FROM lost GROUP BY lease_id) AS leaving
    WHERE lease.id = leaving.lease_id
      AND EXISTS (SELECT FROM unnest(lease.jobs) AS job WHERE job.id = ANY ($2))
)
SELECT (SELECT array_agg(DISTINCT queue) FROM back) AS queues, (SELECT count(*) FROM back) AS lost
