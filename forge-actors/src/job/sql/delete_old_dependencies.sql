-- Called by job/store for the duty history_expiry: $1 seconds of retention, $2 how many rows at most. Index
-- forge_job_dependencies_created_at, primary keys; reads all batch leases. Locks the rows that it deletes.
-- What a job has waited for is kept for as long as the job. Most rows go before, with the history of their
-- jobs (sql/delete_old_history.sql).
DELETE FROM forge_job_dependencies
WHERE (waiter_id, number) IN (
    SELECT waiter_id, number
    FROM forge_job_dependencies dependency
    WHERE created_at < now() - make_interval(secs => $1)
      AND NOT EXISTS (SELECT FROM forge_jobs WHERE id = dependency.waiter_id)
      AND NOT EXISTS (SELECT FROM forge_job_history WHERE id = dependency.waiter_id)
      AND waiter_id NOT IN (
          SELECT held.id FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS held
      )
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
