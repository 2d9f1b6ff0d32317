-- Called by workflow/store for the rescuer, in a statement after the commit of sql/lose_owners.sql: $1 runs at
-- most. Runs of lost leases are ready again, and those whose lease has no row. Index forge_workflow_runs_owned_by.
WITH held AS MATERIALIZED (
    SELECT run.id
    FROM forge_workflow_runs run
    WHERE run.owner_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM forge_workflow_owners owner WHERE owner.id = run.owner_id AND owner.lost_at IS NULL)
    ORDER BY run.id
    LIMIT $1
    FOR NO KEY UPDATE
)
UPDATE forge_workflow_runs run
SET status = 'ready', owner_id = NULL, due_at = clock_timestamp()
FROM held
WHERE run.id = held.id
RETURNING run.id
