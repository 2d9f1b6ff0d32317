-- Called by workflow/store for the rescuer: deletes lost leases that hold no run. Index
-- forge_workflow_runs_owned_by.
DELETE FROM forge_workflow_owners owner
WHERE lost_at IS NOT NULL AND NOT EXISTS (SELECT FROM forge_workflow_runs run WHERE run.owner_id = owner.id)
