-- Called by job/follow.rs for forge.jobStatus and forge.cancelMyJob: $1 job, $2 the identity of the caller, $3
-- whether the caller sees every job. Primary key; no lock. Reads no other table, so that a live query runs again
-- when this one changes, and not on a timer.
SELECT id, status::text AS status, attempt, attempts_max, run_at, progress, message, result, failure,
       created_at, finished_at
FROM forge_job_progress
WHERE id = $1 AND followers IS NOT NULL AND ($3 OR followers && ARRAY[$2, 'null'])
