-- Called by job/store/unblock.rs after sql/lock_limit_keys.sql in the same transaction: $1 keys of rate
-- limits whose jobs are unblocked. Primary key. The next claim that blocks a job says when the limit opens
-- again.
UPDATE forge_job_limits SET next_at = NULL WHERE key = ANY ($1) AND next_at IS NOT NULL
