-- Called by job/store/queue_limit.rs after sql/lock_queue_limit.sql in the same transaction, where its
-- snapshot is newer than the wait for the lock, so that it sees what the claims before have taken; and by
-- job/admin/why.rs: $1 queue. Reads the index
-- forge_jobs_held and all batch leases, of which a job in the history is held no longer; no lock.
SELECT count(*) FROM forge_unfinished_jobs WHERE node_id IS NOT NULL AND queue = $1
