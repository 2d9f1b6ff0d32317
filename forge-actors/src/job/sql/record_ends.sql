-- Called by job/dependencies.rs after sql/lock_waiters.sql: $1 jobs. Index forge_job_dependencies_job,
-- primary key of the history. Locks the rows that it changes. A job that was brought back from the history
-- has not ended.
UPDATE forge_job_dependencies dependency
SET ended = history.status
FROM forge_job_history history
WHERE dependency.job_id = ANY ($1) AND dependency.ended IS NULL AND history.id = dependency.job_id
RETURNING dependency.waiter_id
