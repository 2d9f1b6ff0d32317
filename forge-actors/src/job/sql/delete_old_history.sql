-- Called by job/store for the duty history_expiry: $1 seconds of retention, $2 how many rows at most, $3
-- whether jobs that failed are meant or the others, $4 names of their handlers, or null for all but $5; $6
-- seconds back to which rows were deleted before, or null. Index forge_job_history_finished_at; reads all of
-- forge_job_leases. Locks the rows that it deletes, and skips rows that another node deletes. A row that may
-- say of a job in a batch lease that it has ended is kept for as long as the lease: without it a rescue would
-- have the job run again. So is a row whose end is not recorded for a job that waits for it, and the row of a
-- job that has ended without success while the next one of its chain waits for its retry. The failed attempts
-- of the jobs go with them, by the primary key of forge_failed_attempts, and so do dependencies of which both
-- jobs are gone, by the primary key and the index forge_job_dependencies_job, at most ten times $2 rows:
-- sql/delete_old_dependencies.sql deletes the rest.
WITH old AS (
    DELETE FROM forge_job_history
    WHERE id IN (
        SELECT id FROM forge_job_history
        WHERE finished_at < least(
            now() - make_interval(secs => $1),
            (SELECT min(claimed_at) FROM forge_job_leases)
        )
          AND ($6::float8 IS NULL OR finished_at > now() - make_interval(secs => $1 + $6))
          AND (status IN ('failed', 'dead_letter')) = $3
          AND ($4::text[] IS NULL OR name = ANY ($4))
          AND NOT name = ANY ($5::text[])
          AND NOT EXISTS (
              SELECT FROM forge_job_dependencies dependency
              WHERE dependency.job_id = forge_job_history.id
                AND (
                    dependency.ended IS NULL
                    OR dependency.kind = 'step' AND dependency.ended <> 'completed'
                       AND NOT dependency.broke AND EXISTS (
                        SELECT FROM forge_jobs WHERE id = dependency.waiter_id AND waits_for_jobs
                    )
                )
          )
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id
), failures AS (
    DELETE FROM forge_failed_attempts USING old WHERE job_id = old.id
), touched AS (
    SELECT waiter_id, number, job_id AS other_id
    FROM forge_job_dependencies JOIN old ON waiter_id = old.id
    UNION
    SELECT waiter_id, number, waiter_id
    FROM forge_job_dependencies JOIN old ON job_id = old.id
), gone AS (
    SELECT waiter_id, number
    FROM touched
    WHERE other_id IN (SELECT id FROM old)
       OR NOT EXISTS (SELECT FROM forge_jobs WHERE id = other_id)
          AND NOT EXISTS (SELECT FROM forge_job_history WHERE id = other_id)
          AND other_id NOT IN (
              SELECT held.id FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS held
          )
    LIMIT 10 * $2
), dependencies AS (
    DELETE FROM forge_job_dependencies dependency USING gone
    WHERE dependency.waiter_id = gone.waiter_id AND dependency.number = gone.number
)
SELECT count(*) FROM old
