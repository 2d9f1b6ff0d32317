-- Called by job/dependencies.rs after sql/record_ends.sql in the same transaction: $1 waiters. Primary key,
-- indexes of forge_job_dependencies. Locks the rows that it changes. A waiter that waits for nothing more may
-- run when its time has come; it waits for the retry of a step only while the history has the step.
UPDATE forge_jobs waiter
SET ready = waiter.due_at <= now(), run_at = greatest(waiter.due_at, now()), waits_for_jobs = NULL,
    due_at = NULL
WHERE waiter.id = ANY ($1)
  AND waiter.waits_for_jobs
  AND NOT EXISTS (
      SELECT FROM forge_job_dependencies WHERE waiter_id = waiter.id AND ended IS NULL
  )
  AND NOT EXISTS (
      SELECT FROM forge_job_dependencies
      WHERE waiter_id = waiter.id AND kind = 'step' AND ended <> 'completed' AND NOT broke
        AND EXISTS (SELECT FROM forge_job_history WHERE id = job_id)
  )
RETURNING waiter.queue
