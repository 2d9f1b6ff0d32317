-- Called by workflow/store for the lease keeper: $1 lease. Index forge_workflow_runs_owned_by.
SELECT id, claim FROM forge_workflow_runs WHERE owner_id = $1
