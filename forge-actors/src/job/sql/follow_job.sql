-- Called by job/follow.rs for a dispatch whose caller wants a handle, in its transaction: $1 job, $2 the
-- identity of the caller, $3 how many identities may follow a job. Primary keys. Locks the row of the job, if
-- the job waits, and the row of its progress. Returns no row for a job that a batch lease holds.
WITH flagged AS (
    UPDATE forge_jobs SET followed = true WHERE id = $1 AND followed IS NULL
), found AS (
    SELECT id, claim, status, attempt, attempts_max, coalesce(due_at, run_at) AS run_at,
           NULL::json AS result, NULL::json AS failure, created_at, NULL::timestamptz AS finished_at
    FROM forge_jobs
    WHERE id = $1
    UNION ALL
    SELECT id, claim, status, attempt, attempts_max, NULL, result, failure, created_at, finished_at
    FROM forge_job_history
    WHERE id = $1
)
INSERT INTO forge_job_progress AS known (
    id, followers, claim, status, attempt, attempts_max, run_at, result, failure, created_at, finished_at
)
SELECT id, ARRAY[$2], claim, status, attempt, attempts_max, run_at, result, failure, created_at, finished_at
FROM found
ON CONFLICT (id) DO UPDATE
SET followers = CASE
    WHEN known.followers @> ARRAY[$2] OR cardinality(known.followers) >= $3 THEN known.followers
    ELSE coalesce(known.followers, '{}') || $2
END
RETURNING id
