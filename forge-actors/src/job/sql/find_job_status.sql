-- Called by job/insert.rs for a unique dispatch that has found a job, and by workflow/run_store.rs for a run that
-- waits for one: $1 id. Both primary keys, and all batch leases when neither has it; no lock.
SELECT status::text FROM forge_job_history WHERE id = $1
UNION ALL
SELECT status::text FROM forge_unfinished_jobs WHERE id = $1
LIMIT 1
