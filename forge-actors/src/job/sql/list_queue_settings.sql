-- Called by job/admin/queues.rs for forge.queues. Reads the whole table, which is small; no lock.
SELECT queue, paused_at, paused_by, concurrency_max FROM forge_job_queues ORDER BY queue
