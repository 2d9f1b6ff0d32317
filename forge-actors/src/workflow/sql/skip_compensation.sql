-- Called by workflow/admin/apply.rs for forge.skipCompensation: $1 run, $2 who has skipped it and why. The
-- compensation that has failed counts as done, and the run goes on with the next one. Locks the run. Primary
-- keys. Returns the name of the step; no row: no compensation of the run has failed.
WITH wanted AS MATERIALIZED (
    SELECT id FROM forge_workflow_runs WHERE id = $1 AND status = 'compensation_failed' FOR NO KEY UPDATE
), skipped AS (
    UPDATE forge_workflow_steps step
    SET status = 'skipped', finished_at = clock_timestamp(), due_at = NULL, output = $2::json
    FROM wanted
    WHERE step.run_id = wanted.id AND step.kind = 'compensation' AND step.status = 'retrying'
    RETURNING step.name
)
UPDATE forge_workflow_runs run
SET status = 'ready', due_at = clock_timestamp()
FROM wanted
WHERE run.id = wanted.id
RETURNING (SELECT name FROM skipped LIMIT 1) AS name
