-- Called by job/store for the counter, once a minute on every node with the role `worker`. Reads all of
-- forge_jobs and of forge_job_leases, which hold only jobs that are not finished; no lock.
SELECT name, queue, status::text AS status, count(*) AS rows
FROM forge_unfinished_jobs
GROUP BY name, queue, status
