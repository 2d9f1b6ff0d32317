-- Called by workflow/store for a run that waits for another one, $1, in a statement after sql/await_run.sql. A run
-- that has gone on as a new one stands for the newest of them. Primary keys, and the indexes
-- forge_workflow_runs_continues and forge_workflow_history_continues. `is_open`: it has not ended. No row: there
-- is no such run.
WITH newest AS MATERIALIZED (
    SELECT coalesce((SELECT id FROM forge_newest_workflow_run($1)), $1) AS id
)
SELECT id, false AS is_open, status::text AS status, output::text AS output, error::text AS error
FROM forge_workflow_history
WHERE id = (SELECT id FROM newest)
UNION ALL
SELECT id, true, status::text, NULL, NULL
FROM forge_workflow_runs
WHERE id = (SELECT id FROM newest)
