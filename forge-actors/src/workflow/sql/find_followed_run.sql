-- Called by workflow/follow.rs for forge.workflowStatus and forge.cancelMyWorkflow: $1 the run that the
-- handle names, $2 the identity of the caller, $3 whether the caller sees every followed run. Primary key; no
-- lock. Reads no other table, so that a live query runs again when this one changes, and not on a timer.
SELECT id, run_id,
       CASE WHEN compensating AND status IN ('ready', 'running', 'waiting') THEN 'compensating'
            ELSE status::text END AS status,
       due_at, published, result, failure, created_at, finished_at
FROM forge_workflow_progress
WHERE id = $1 AND ($3 OR followers && ARRAY[$2, 'null'])
