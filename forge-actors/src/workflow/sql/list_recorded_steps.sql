-- Called by workflow/admin/rewind.rs: $1 run. What decides which steps of a journal stay. Primary key; no
-- lock.
SELECT position, kind::text AS kind, status::text AS status, name, number, started_at
FROM forge_workflow_steps
WHERE run_id = $1
