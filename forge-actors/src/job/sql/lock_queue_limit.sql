-- Called by job/store/queue_limit.rs for a claim from a queue with a limit: $1 queue. Primary key. Locks the
-- row until the transaction ends, so that claims of one queue take turns on all nodes.
SELECT paused_at IS NOT NULL AS is_paused, concurrency_max
FROM forge_job_queues
WHERE queue = $1
FOR NO KEY UPDATE
