-- Called by job/admin for forge.job: $1 job, $2 limit. Newest first. Primary key; no lock.
SELECT attempt, claim, failed_at, error
FROM forge_failed_attempts
WHERE job_id = $1
ORDER BY claim DESC
LIMIT $2
