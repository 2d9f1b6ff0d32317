-- Called by job/buffer/store.rs before jobs of a buffer are dispatched, in their transaction: $1 name of the
-- file. Primary key. Inserts the row of the file at offset 0 if there is none. The update changes nothing: it
-- locks the row until the transaction ends, waits for a transaction that holds it, such as one whose commit
-- was cut off, and returns what that one has written: the offset up to which the lines are dispatched.
INSERT INTO forge_job_buffers AS buffer (file, dispatched_bytes)
VALUES ($1, 0)
ON CONFLICT (file) DO UPDATE SET file = buffer.file
RETURNING dispatched_bytes
