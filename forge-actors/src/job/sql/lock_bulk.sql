-- Called by job/admin/bulk.rs for a batch: $1 job. Primary keys. Locks the row until the transaction of the
-- batch ends, so that two attempts at the job take turns. A bulk whose job was ended by a person has ended.
SELECT action::text AS action, filter::text AS filter, requested_by, expected, next_before, started_at
FROM forge_job_bulks
WHERE job_id = $1 AND ended_at IS NULL AND NOT EXISTS (SELECT FROM forge_job_history WHERE id = $1)
FOR UPDATE
