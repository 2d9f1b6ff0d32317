-- Called by job/buffer/store.rs before jobs of a buffer are dispatched, in their transaction: $1 name of the
-- file. Primary key. Locks the row of the file until the transaction ends, so that a dispatch waits until one
-- whose commit was cut off has ended on the server, and sees what it has written. Returns the offset in the
-- file up to which its lines are dispatched.
INSERT INTO forge_job_buffers AS former (file, dispatched)
VALUES ($1, 0)
ON CONFLICT (file) DO UPDATE SET file = former.file
RETURNING dispatched
