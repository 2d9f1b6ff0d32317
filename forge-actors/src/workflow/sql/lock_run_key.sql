-- Called by workflow/insert: $1 workflow, $2 key, $3 run. The row of the key makes starts with one id take
-- turns: a second one waits until the transaction of the first one has ended. Primary key.
INSERT INTO forge_workflow_keys AS known (workflow, key, run_id)
VALUES ($1, $2, $3)
ON CONFLICT (workflow, key) DO UPDATE SET run_id = known.run_id
RETURNING run_id
