-- Called by workflow/admin/rewind.rs for forge.retryWorkflow, in its transaction, when the steps that run
-- again are deleted: $1 run. What the run waited for when it was terminated is waited for again. Primary key.
UPDATE forge_workflow_steps
SET status = 'waiting', finished_at = NULL
WHERE run_id = $1 AND status = 'abandoned' AND number IS NULL
