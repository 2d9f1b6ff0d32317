-- Called by workflow/store for a run that waits for another one, $1: its end writes an event. Primary key.
UPDATE forge_workflow_runs SET awaited = true WHERE id = $1 AND NOT awaited AND parent_id IS NULL
