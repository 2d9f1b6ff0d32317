-- Called by job/store/limited.rs after sql/lock_limit_keys.sql in the same transaction: $1 jobs. Primary key.
-- Locks the rows of those that nothing holds, and skips rows that are locked.
SELECT id FROM forge_jobs WHERE id = ANY ($1) AND ready AND node_id IS NULL FOR UPDATE SKIP LOCKED
