-- Called by job/store before sql/release_jobs.sql, in the same transaction: $1 batch leases. Primary key.
-- Waits for the transactions that finish jobs of these leases. The next statement therefore sees what they
-- have written; the same statement would not, since its snapshot is older than the wait.
SELECT id FROM forge_job_leases WHERE id = ANY ($1) ORDER BY id FOR UPDATE
