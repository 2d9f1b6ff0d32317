-- Called by workflow/admin/apply.rs for forge.retryWorkflow and forge.bulkWorkflows: $1 runs. Those that have
-- diverged, or whose compensation has failed, are due now; the compensation gets its attempts back. `error` is
-- again why a run is compensated, where leave_runs.sql has written how it has diverged. Locks the runs in the
-- order of their ids. Primary keys.
WITH wanted AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_runs
    WHERE id = ANY ($1) AND status IN ('diverged', 'compensation_failed')
    ORDER BY id
    FOR NO KEY UPDATE
), again AS (
    UPDATE forge_workflow_steps step
    SET attempts = 0, due_at = NULL
    FROM wanted
    WHERE step.run_id = wanted.id AND step.kind = 'compensation' AND step.status = 'retrying'
)
UPDATE forge_workflow_runs run
SET status = 'ready', due_at = clock_timestamp(),
    error = CASE WHEN run.ending IS NOT NULL THEN coalesce(run.error -> 'cause', run.error) END
FROM wanted
WHERE run.id = wanted.id
RETURNING run.id
