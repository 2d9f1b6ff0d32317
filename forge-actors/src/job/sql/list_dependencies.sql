-- Called by job/dependencies.rs for a running job: $1 the job. Primary key; no lock. What it has waited for.
SELECT job_id, name, kind::text AS kind, ended::text AS ended
FROM forge_job_dependencies
WHERE waiter_id = $1
ORDER BY number
