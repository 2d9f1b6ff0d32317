-- Called by workflow/insert: $1 workflow, $2 key, $3 run, $4 tenant, or empty. Primary key.
UPDATE forge_workflow_keys SET run_id = $3 WHERE workflow = $1 AND tenant = $4 AND key = $2
