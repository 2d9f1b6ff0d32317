-- Called by job/insert.rs for a unique dispatch that does not find the job of its key any more, after
-- sql/lock_job_key.sql in the same transaction, which holds the lock of the row: $1 key, $2 job that takes
-- it, $3 seconds for which the key is kept, or null. Primary key.
UPDATE forge_job_keys
SET job_id = $2, expires_at = now() + make_interval(secs => $3), created_at = now()
WHERE key = $1
