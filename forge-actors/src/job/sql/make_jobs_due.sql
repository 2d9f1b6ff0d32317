-- Called by job/inline.rs, in the database of one test. Reads the index forge_jobs_scheduled; locks the rows
-- that it changes. A waiting job becomes one whose time has come.
UPDATE forge_jobs SET ready = true, run_at = least(run_at, now()) WHERE NOT ready
