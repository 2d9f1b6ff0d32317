-- Called by job/buffer/store.rs after sql/lock_buffer.sql, in the same transaction: $1 ids. Primary keys, and
-- all batch leases; no lock. Returns those of which there are jobs already.
SELECT id FROM forge_unfinished_jobs WHERE id = ANY ($1)
UNION ALL
SELECT id FROM forge_job_history WHERE id = ANY ($1)
