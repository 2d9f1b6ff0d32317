-- Called by workflow/store for a step whose transaction has an unknown outcome: $1 run, $2 position. Primary
-- key.
SELECT run_id, position, kind::text AS kind, status::text AS status, name, shape, attempts, number, output::text AS output,
       error::text AS error, finished_at, due_at, awaits
FROM forge_workflow_steps
WHERE run_id = $1 AND position = $2
