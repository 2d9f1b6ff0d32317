-- Called by job/insert.rs for a unique dispatch that does not find the job of its key any more, after
-- sql/insert_unique_job.sql in the same transaction, which holds the lock of the row: $1 key. Primary key.
DELETE FROM forge_job_keys WHERE key = $1
