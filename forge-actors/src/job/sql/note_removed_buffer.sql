-- Called by job/buffer/store.rs after a file is deleted, by itself: $1 name of the file. Primary key; locks the
-- row.
UPDATE forge_job_buffers SET removed_at = now() WHERE file = $1
