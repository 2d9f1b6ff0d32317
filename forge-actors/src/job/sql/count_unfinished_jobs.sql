-- Called by job/store.rs for the counter, once a minute on every node with the role `worker`. Reads all of
-- forge_jobs, which holds only jobs that are not finished; no lock.
SELECT name, queue, status::text AS status, count(*) AS rows
FROM forge_jobs
GROUP BY name, queue, status
