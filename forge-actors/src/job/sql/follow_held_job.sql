-- Called by job/follow.rs after sql/follow_job.sql, for a job that a batch lease holds: $1 job, $2 the identity
-- of the caller, $3 how many identities may follow a job. Reads all batch leases. Locks the row of the job's
-- progress. The node that holds the job does not know of its followers, so the settler finds the job's end.
INSERT INTO forge_job_progress AS known (id, followers, claim, status, attempt, attempts_max, created_at)
SELECT id, ARRAY[$2], claim, 'running', attempt, attempts_max, created_at
FROM forge_unfinished_jobs
WHERE id = $1
ON CONFLICT (id) DO UPDATE
SET followers = CASE
    WHEN known.followers @> ARRAY[$2] OR cardinality(known.followers) >= $3 THEN known.followers
    ELSE coalesce(known.followers, '{}') || $2
END
