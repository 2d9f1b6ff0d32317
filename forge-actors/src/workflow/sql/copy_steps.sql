-- Called by workflow/admin/rewind.rs for forge.forkWorkflow: $1 the run that is forked, $2 the new run, $3
-- positions of the steps that are copied, which have ended. Primary key.
INSERT INTO forge_workflow_steps (run_id, position, kind, status, name, shape, attempts, number, input,
    output, error, failures, started_at, finished_at, due_at, event, event_key, event_id, awaits)
SELECT $2, position, kind, status, name, shape, attempts, number, input, output, error, failures, started_at,
       finished_at, due_at, event, event_key, event_id, awaits
FROM forge_workflow_steps
WHERE run_id = $1 AND position = ANY ($3)
