-- Called by job/admin/settings.rs for forge.resumeQueue: $1 queue. Primary key; locks the row of the queue,
-- and deletes it when the queue has no limit. A queue that is not paused is not changed.
WITH deleted AS (
    DELETE FROM forge_job_queues
    WHERE queue = $1 AND paused_at IS NOT NULL AND concurrency_max IS NULL
    RETURNING queue
), resumed AS (
    UPDATE forge_job_queues
    SET paused_at = NULL, paused_by = NULL, changed_at = now()
    WHERE queue = $1 AND paused_at IS NOT NULL AND concurrency_max IS NOT NULL
    RETURNING queue
)
SELECT queue FROM deleted UNION ALL SELECT queue FROM resumed
