-- Called by job/dependencies.rs before sql/record_ends.sql, in the same transaction: $1 jobs that have ended.
-- Index forge_job_dependencies_job, primary key. Locks the rows of the jobs that wait for them, in the order
-- of their ids. The next statements therefore see which ends other transactions have recorded for the same
-- waiters; of two jobs that end at once, the second one finds that it is the last.
SELECT waiter.id
FROM forge_jobs waiter
WHERE waiter.id IN (SELECT waiter_id FROM forge_job_dependencies WHERE job_id = ANY ($1) AND ended IS NULL)
ORDER BY waiter.id
FOR UPDATE
