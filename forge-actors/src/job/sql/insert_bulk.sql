-- Called by job/admin/bulk.rs for forge.bulkJobs, in the transaction that dispatches its job: $1 job, $2
-- action, $3 filter, $4 who, $5 how many jobs are expected, or null. Locks its own row.
INSERT INTO forge_job_bulks (job_id, action, filter, requested_by, expected)
VALUES ($1, $2::text::forge_job_action, $3::json, $4, $5)
