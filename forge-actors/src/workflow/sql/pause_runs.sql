-- Called by workflow/admin/apply.rs for forge.pauseWorkflow and forge.bulkWorkflows: $1 runs. One that no
-- node owns is paused; the owner of another one is asked to. Runs that are compensated, or that are to be
-- cancelled, are not changed. Locks the runs in the order of their ids. Primary key.
WITH wanted AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_runs
    WHERE id = ANY ($1) AND ending IS NULL AND request IS NULL AND status IN ('ready', 'running', 'waiting')
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE forge_workflow_runs run
SET request = CASE WHEN run.owner_id IS NOT NULL THEN 'pause'::forge_workflow_request END,
    status = CASE WHEN run.owner_id IS NULL THEN 'paused'::forge_workflow_status ELSE run.status END
FROM wanted
WHERE run.id = wanted.id
RETURNING run.id
