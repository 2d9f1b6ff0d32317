-- Called by job/dependencies.rs after sql/lock_waiters.sql: $1 jobs. Index forge_job_dependencies_job,
-- primary key of the history. Locks the rows that it changes. The rows of the history are locked against a
-- retry: a job that is brought back has not ended.
UPDATE forge_job_dependencies dependency
SET ended = history.status
FROM (
    SELECT id, status FROM forge_job_history WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE
) AS history
WHERE dependency.job_id = ANY ($1) AND dependency.ended IS NULL AND history.id = dependency.job_id
RETURNING dependency.waiter_id
