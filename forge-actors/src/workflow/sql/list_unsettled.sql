-- Called by workflow/testing: $1 runs at most that a node executes or may execute now, each with the step that it
-- has recorded last. The database of a test is small. By the clock of each row: a run that has just gone on may be due after now().
SELECT run.id, run.workflow, run.status::text AS status, step.position, step.name
FROM forge_workflow_runs run
LEFT JOIN LATERAL (
    SELECT position, name
    FROM forge_workflow_steps
    WHERE run_id = run.id
    ORDER BY number DESC NULLS LAST, started_at DESC
    LIMIT 1
) AS step ON true
WHERE run.status = 'running' OR run.status IN ('ready', 'waiting') AND run.due_at <= clock_timestamp()
ORDER BY run.id
LIMIT $1
