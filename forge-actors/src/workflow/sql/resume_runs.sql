-- Called by workflow/admin/apply.rs for forge.resumeWorkflow and forge.bulkWorkflows: $1 runs. A paused one
-- is due now; one whose owner has not paused it yet is not to be paused any more. One that was paused by
-- sql/release_runs.sql has its tries again; `cause` is why it was compensated then. Locks the runs in the order
-- of their ids. Primary key.
WITH wanted AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_runs
    WHERE id = ANY ($1) AND (status = 'paused' OR request = 'pause')
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE forge_workflow_runs run
-- A run that was to be cancelled when it was paused still is.
SET request = CASE WHEN run.request = 'cancel' THEN run.request END,
    cancel_reason = CASE WHEN run.request = 'cancel' THEN run.cancel_reason END,
    status = CASE WHEN run.status = 'paused' THEN 'ready'::forge_workflow_status ELSE run.status END,
    due_at = CASE WHEN run.status = 'paused' THEN clock_timestamp() ELSE run.due_at END,
    crashes = 0, crashed_at = NULL,
    error = CASE WHEN run.status = 'paused' THEN run.error -> 'cause' ELSE run.error END
FROM wanted
WHERE run.id = wanted.id
RETURNING run.id
