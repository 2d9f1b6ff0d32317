-- Called by workflow/insert: $1 run. Primary keys. No row: its history is deleted.
SELECT true AS is_live, status::text AS status FROM forge_workflow_runs WHERE id = $1
UNION ALL
SELECT false, status::text FROM forge_workflow_history WHERE id = $1
