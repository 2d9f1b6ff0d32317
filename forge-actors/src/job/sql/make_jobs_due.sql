-- Called by job/inline.rs, in the database of one test. Reads the index forge_jobs_scheduled; locks the rows
-- that it changes. A waiting job becomes one whose time has come, unless it waits for jobs.
UPDATE forge_jobs
SET ready = true, run_at = least(coalesce(due_at, run_at), now()), blocked_by = NULL, due_at = NULL
WHERE NOT ready AND waits_for_jobs IS NOT TRUE
