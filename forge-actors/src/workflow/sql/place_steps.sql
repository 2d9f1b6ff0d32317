-- Called by workflow/migration.rs, in the transaction that migrates a run, after sql/move_steps.sql: $1 run.
-- Primary key.
UPDATE forge_workflow_steps SET position = substr(position, 2) WHERE run_id = $1 AND position LIKE '~%'
