-- Called by job/admin/settings.rs for forge.pauseQueue: $1 queue, $2 who. Primary key; locks the row of the
-- queue. Claims that begin after the commit take nothing from the queue. A queue that is paused is not
-- changed.
INSERT INTO forge_job_queues (queue, paused_at, paused_by)
VALUES ($1, now(), $2)
ON CONFLICT (queue) DO UPDATE SET paused_at = now(), paused_by = $2, changed_at = now()
WHERE forge_job_queues.paused_at IS NULL
RETURNING queue
