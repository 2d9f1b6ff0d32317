-- Called by job/store/queue_limit.rs for the claimer, once a second at most and only after a claim that found
-- nothing. Reads the whole table, which is small; no lock.
SELECT queue FROM forge_job_queues WHERE concurrency_max IS NOT NULL
