-- Called by job/admin/bulk.rs for forge.job: $1 job. Primary key; no lock.
SELECT action::text AS action, filter::text AS filter, requested_by, expected, done, skipped, next_before,
       started_at, ended_at
FROM forge_job_bulks
WHERE job_id = $1
