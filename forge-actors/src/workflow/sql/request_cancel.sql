-- Called by workflow/insert and by operators: $1 runs. Asks runs to be cancelled. Their owners, or the nodes
-- that claim them next, compensate what has completed. Locks the runs in the order of their ids.
WITH wanted AS MATERIALIZED (
    SELECT id FROM forge_workflow_runs WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
)
UPDATE forge_workflow_runs run
SET request = CASE WHEN run.ending IS NULL THEN 'cancel'::forge_workflow_request ELSE run.request END,
    status = CASE WHEN run.status IN ('waiting', 'paused', 'diverged') AND run.ending IS NULL
                  THEN 'ready'::forge_workflow_status ELSE run.status END,
    due_at = CASE WHEN run.status IN ('waiting', 'paused', 'diverged', 'ready') AND run.ending IS NULL
                  THEN clock_timestamp() ELSE run.due_at END
FROM wanted
WHERE run.id = wanted.id
RETURNING run.id
