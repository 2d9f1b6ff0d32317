-- Called by job/admin.rs for forge.overview. Reads all of forge_jobs and of forge_job_leases, and the index
-- forge_job_history_failed; no lock.
SELECT
    count(*) FILTER (WHERE status = 'pending') AS pending,
    count(*) FILTER (WHERE status IN ('claimed', 'running')) AS running,
    count(*) FILTER (WHERE status = 'retry') AS retry,
    (
        SELECT count(*) FROM forge_job_history
        WHERE status IN ('failed', 'dead_letter') AND finished_at > now() - interval '1 day'
    ) AS failed
FROM forge_unfinished_jobs
