-- Called by job/admin/settings.rs for forge.limitQueue: $1 queue, $2 how many of its jobs are held at a time.
-- Primary key; locks the row of the queue. A claim that began before the commit may still take more.
INSERT INTO forge_job_queues (queue, concurrency_max)
VALUES ($1, $2)
ON CONFLICT (queue) DO UPDATE SET concurrency_max = $2, changed_at = now()
