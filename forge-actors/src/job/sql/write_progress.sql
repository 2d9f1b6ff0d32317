-- Called by job/store for the reporter: $1 ids, $2 claims, $3 attempts, $4 attempts that the jobs have, $5
-- progress, $6 messages. Primary key. Locks the rows of these jobs, in the order of their ids. A report of
-- an attempt whose job was claimed again, or has ended, changes nothing. A new attempt begins without the
-- progress of the one before.
INSERT INTO forge_job_progress AS known (id, claim, status, attempt, attempts_max, progress, message)
SELECT id, claim, 'running', attempt, attempts_max, progress, message
FROM UNNEST($1::uuid[], $2::int4[], $3::int4[], $4::int4[], $5::float8[], $6::text[])
    AS report (id, claim, attempt, attempts_max, progress, message)
ORDER BY id
ON CONFLICT (id) DO UPDATE
SET claim = excluded.claim,
    status = 'running',
    attempt = excluded.attempt,
    attempts_max = excluded.attempts_max,
    run_at = NULL,
    progress = CASE
        WHEN known.claim = excluded.claim THEN coalesce(excluded.progress, known.progress)
        ELSE excluded.progress
    END,
    message = CASE
        WHEN known.claim = excluded.claim THEN coalesce(excluded.message, known.message)
        ELSE excluded.message
    END
WHERE known.claim <= excluded.claim AND known.finished_at IS NULL
