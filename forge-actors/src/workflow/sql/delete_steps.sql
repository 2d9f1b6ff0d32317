-- Called by workflow/migration.rs in the transaction that migrates a run, and by workflow/admin/rewind.rs for
-- forge.retryWorkflow: $1 run, $2 positions of the steps that go. Primary key.
DELETE FROM forge_workflow_steps WHERE run_id = $1 AND position = ANY ($2)
