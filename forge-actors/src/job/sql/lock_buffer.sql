-- Called by job/buffer/store.rs before jobs of a buffer are dispatched, in their transaction: $1 name of the
-- file. Takes an advisory lock until the transaction ends, so that a dispatch waits until one whose commit
-- was cut off has ended on the server.
SELECT pg_advisory_xact_lock(hashtextextended('forge.job_buffer.' || $1, 0))
