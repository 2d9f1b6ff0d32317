-- Called by workflow/store for the rescuer, in a statement after the commit of sql/lose_owners.sql: $1 runs at
-- most. Runs of lost leases are ready again. Index forge_workflow_runs_owned_by.
WITH held AS MATERIALIZED (
    SELECT run.id
    FROM forge_workflow_runs run
    WHERE run.owner_id IN (SELECT id FROM forge_workflow_owners WHERE lost_at IS NOT NULL)
    ORDER BY run.id
    LIMIT $1
    FOR NO KEY UPDATE
)
UPDATE forge_workflow_runs run
SET status = 'ready', owner_id = NULL, due_at = clock_timestamp()
FROM held
WHERE run.id = held.id
RETURNING run.id
