-- Called by workflow/admin/apply.rs when runs were terminated: $1 those runs. Index forge_workflow_runs_parent.
-- As sql/request_cancel.sql, for their children that end with them, also those that were asked before.
WITH wanted AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_runs
    WHERE parent_id = ANY ($1) AND parent_policy = 'cancel' AND ending IS NULL
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE forge_workflow_runs run
SET request = 'cancel',
    status = CASE WHEN run.status IN ('waiting', 'paused', 'diverged') THEN 'ready'::forge_workflow_status ELSE run.status END,
    due_at = CASE WHEN run.owner_id IS NULL THEN clock_timestamp() ELSE run.due_at END,
    error = CASE WHEN run.status = 'paused' THEN NULL ELSE run.error END
FROM wanted
WHERE run.id = wanted.id
RETURNING run.id
