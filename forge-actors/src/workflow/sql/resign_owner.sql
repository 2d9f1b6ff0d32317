-- Called by workflow/store for the lease keeper: $1 lease. Ends a lease that holds no run. Primary key, and
-- the index forge_workflow_runs_owned_by.
DELETE FROM forge_workflow_owners
WHERE id = $1 AND NOT EXISTS (SELECT FROM forge_workflow_runs WHERE owner_id = $1)
