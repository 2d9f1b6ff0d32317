-- Called by dashboard/bulk.rs after the last batch of forge.bulkJobs: $1 row, $2 what was done. Primary key.
-- A row is completed once.
UPDATE forge_audit SET outcome = 'done', target = target || ': ' || $2 WHERE id = $1 AND outcome = 'underway'
