-- Called by workflow/insert and by workflow/admin/rewind.rs: $1 workflow, $2 key, $3 run, $4 tenant, or empty. The
-- row of the key makes starts with one id take turns: a second one waits until the transaction of the first one has
-- ended. Primary key.
INSERT INTO forge_workflow_keys AS known (workflow, tenant, key, run_id)
VALUES ($1, $4, $2, $3)
ON CONFLICT (workflow, tenant, key) DO UPDATE SET run_id = known.run_id
RETURNING run_id
