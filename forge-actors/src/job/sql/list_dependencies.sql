-- Called by job/dependencies.rs for a running job: $1 the job. Primary keys; no lock. What it has waited for:
-- how a job has ended that was tried again since says its row in the history.
SELECT job_id, dependency.name, kind::text AS kind, coalesce(history.status, ended)::text AS ended
FROM forge_job_dependencies dependency
LEFT JOIN forge_job_history history ON history.id = dependency.job_id
WHERE waiter_id = $1
ORDER BY number
