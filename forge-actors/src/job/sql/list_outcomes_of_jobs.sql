-- Called by job/dependencies.rs for a running job: $1 jobs that it has waited for. Primary key; no lock.
SELECT id, status::text AS status, result::text AS result, failure FROM forge_job_history WHERE id = ANY ($1)
