-- Called by job/dependencies.rs before sql/reopen_dependencies.sql, in the same transaction: $1 jobs that
-- were brought back from the history. Index forge_job_dependencies_job, primary keys. Locks the jobs that
-- wait for them and then all of their dependencies, in the order in which sql/lock_waiters.sql and
-- sql/record_ends.sql do, so that an end which is recorded at the same time is seen by one of the two.
WITH waiters AS MATERIALIZED (
    SELECT id
    FROM forge_jobs
    WHERE id IN (SELECT waiter_id FROM forge_job_dependencies WHERE job_id = ANY ($1))
    ORDER BY id
    FOR UPDATE
)
SELECT waiter_id
FROM forge_job_dependencies
WHERE (SELECT count(*) FROM waiters) >= 0 AND (waiter_id = ANY ($1) OR job_id = ANY ($1))
ORDER BY waiter_id, number
FOR UPDATE
