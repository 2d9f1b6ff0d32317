-- Called by job/admin/bulk.rs after a batch, in its transaction: $1 job, $2 jobs that were changed, $3 jobs
-- that were not, $4 where the next batch begins, null after the last one. Primary key; the row is locked.
UPDATE forge_job_bulks
SET done = done + $2,
    skipped = skipped + $3,
    next_before = coalesce($4, next_before),
    ended_at = CASE WHEN $4 IS NULL THEN now() END
WHERE job_id = $1
RETURNING done, skipped
