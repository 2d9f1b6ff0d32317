-- Called by job/store for the rescuer, when the database refused to rescue all jobs of a batch lease
-- together: $1 batch lease. Primary key; no lock.
SELECT job.id
FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS job
WHERE lease.id = $1 AND NOT job.id = ANY (lease.gone)
ORDER BY job.id
