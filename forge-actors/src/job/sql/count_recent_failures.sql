-- Called by job/admin/totals.rs for forge.overview: $1 how many are counted. Reads so many entries of the
-- index forge_job_history_failed; no lock.
SELECT count(*)
FROM (
    SELECT FROM forge_job_history
    WHERE status IN ('failed', 'dead_letter') AND finished_at > now() - interval '1 day'
    LIMIT $1
) AS failed
