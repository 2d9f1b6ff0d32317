-- Called by workflow/store for activations and workflow/check.rs: $1 runs. Primary key.
SELECT run_id, position, kind::text AS kind, status::text AS status, name, shape, attempts, number, output::text AS output,
       error::text AS error, finished_at, due_at, awaits
FROM forge_workflow_steps
WHERE run_id = ANY ($1)
