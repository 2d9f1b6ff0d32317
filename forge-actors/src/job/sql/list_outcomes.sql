-- Called by job/admin for the scheduler of crons, and for what people see of runs: $1 ids. Both primary
-- keys, and all batch leases; no lock.
SELECT id, status::text AS status, last_error, NULL AS finished_at
FROM forge_unfinished_jobs
WHERE id = ANY ($1)
UNION ALL
SELECT id, status::text, last_error, finished_at FROM forge_job_history WHERE id = ANY ($1)
