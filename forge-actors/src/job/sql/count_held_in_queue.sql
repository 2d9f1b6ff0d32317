-- Called by job/store/queue_limit.rs after sql/lock_queue_limit.sql in the same transaction: $1 queue. Its
-- snapshot is newer than the wait for the lock, so it sees what the claims before have taken. Reads the index
-- forge_jobs_held and all batch leases, of which a job in the history is held no longer; no lock.
SELECT count(*) FROM forge_unfinished_jobs WHERE node_id IS NOT NULL AND queue = $1
