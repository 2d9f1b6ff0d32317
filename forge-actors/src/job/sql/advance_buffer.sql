-- Called by job/buffer/store.rs after jobs of a buffer are dispatched, in their transaction, which has locked
-- the row with sql/lock_buffer.sql: $1 name of the file, $2 the offset up to which its lines are dispatched.
-- Primary key.
UPDATE forge_job_buffers SET dispatched_bytes = $2, updated_at = now() WHERE file = $1
