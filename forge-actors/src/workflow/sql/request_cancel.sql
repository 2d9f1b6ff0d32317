-- Called by workflow/insert and by workflow/admin/apply.rs: $1 runs, $2 by whom and why, or null. Asks runs to be
-- cancelled. Their owners, or the nodes that claim them next, compensate what has completed. Locks the runs in the
-- order of their ids. A run that is compensated already is not changed and not in the answer, nor is one that was asked
-- before, unless it is paused: that one is due again.
WITH wanted AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_runs
    WHERE id = ANY ($1) AND ending IS NULL AND (request IS DISTINCT FROM 'cancel' OR status = 'paused')
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE forge_workflow_runs run
SET request = 'cancel', cancel_reason = $2,
    status = CASE WHEN run.status IN ('waiting', 'paused', 'diverged') THEN 'ready'::forge_workflow_status
                  ELSE run.status END,
    due_at = CASE WHEN run.owner_id IS NULL THEN clock_timestamp() ELSE run.due_at END,
    error = CASE WHEN run.status = 'paused' THEN NULL ELSE run.error END,
    crashes = CASE WHEN run.status = 'paused' THEN 0 ELSE run.crashes END
FROM wanted
WHERE run.id = wanted.id
RETURNING run.id
