-- Called by job/admin/settings.rs for forge.limitQueue without a limit: $1 queue. Primary key; locks the row
-- of the queue, and deletes it when the queue is not paused.
WITH deleted AS (
    DELETE FROM forge_job_queues WHERE queue = $1 AND paused_at IS NULL
)
UPDATE forge_job_queues
SET concurrency_max = NULL, changed_at = now()
WHERE queue = $1 AND paused_at IS NOT NULL AND concurrency_max IS NOT NULL
