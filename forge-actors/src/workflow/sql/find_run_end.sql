-- Called by workflow/store for a run that waits for another one, $1, in a statement after sql/await_run.sql.
-- Primary keys. `is_open`: the run has not ended. No row: there is no such run.
SELECT false AS is_open, status::text AS status, output::text AS output, error::text AS error
FROM forge_workflow_history
WHERE id = $1
UNION ALL
SELECT true, status::text, NULL, NULL
FROM forge_workflow_runs
WHERE id = $1
