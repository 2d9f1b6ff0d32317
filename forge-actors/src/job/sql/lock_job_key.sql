-- Called by job/insert.rs for a unique dispatch, in the transaction of the dispatching call: $1 key, $2 job
-- that takes the key when no other job has it, $3 seconds for which the key is kept, null for as long as the
-- job is not finished. Primary key. Locks the row of the key until the transaction ends, so that a second
-- dispatch with the key waits for the first. Returns the job that has the key.
INSERT INTO forge_job_keys AS former (key, job_id, expires_at)
VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (key) DO UPDATE SET key = former.key
RETURNING job_id, coalesce(expires_at > now(), true) AS is_within
