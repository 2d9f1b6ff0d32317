-- Called by job/admin/bulk.rs when a person has ended the job of a bulk: $1 job. Primary key; locks the row,
-- and so waits for the batch that is under way.
UPDATE forge_job_bulks SET ended_at = now() WHERE job_id = $1 AND ended_at IS NULL RETURNING done, skipped
