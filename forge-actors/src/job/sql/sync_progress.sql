-- Called by job/store after sql/lock_progress.sql, when something else than a report has become of jobs: $1
-- ids. Primary keys. Copies their state from where they are; a job that a batch lease holds is left as it is.
-- A job that was brought back from the history is followed as before. Results are copied for followers alone.
WITH followed AS (
    UPDATE forge_jobs job SET followed = true
    FROM forge_job_progress known
    WHERE job.id = ANY ($1) AND known.id = job.id AND known.followers IS NOT NULL AND job.followed IS NULL
), now AS (
    SELECT id, claim, status, attempt, attempts_max, coalesce(due_at, run_at) AS run_at,
           NULL::json AS result, NULL::json AS failure, NULL::timestamptz AS finished_at
    FROM forge_jobs
    WHERE id = ANY ($1)
    UNION ALL
    SELECT id, claim, status, attempt, attempts_max, NULL, result, failure, finished_at
    FROM forge_job_history
    WHERE id = ANY ($1)
)
UPDATE forge_job_progress known
SET claim = greatest(known.claim, now.claim),
    status = now.status,
    attempt = now.attempt,
    attempts_max = now.attempts_max,
    run_at = now.run_at,
    progress = CASE WHEN now.status = 'completed' AND known.progress IS NOT NULL THEN 1 ELSE known.progress END,
    result = CASE WHEN known.followers IS NOT NULL THEN now.result END,
    failure = now.failure,
    finished_at = now.finished_at
FROM now
WHERE known.id = now.id
