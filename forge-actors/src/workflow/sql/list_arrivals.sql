-- Called by workflow/store for the lease keeper: $1 lease. Runs that were woken, or of which a person has
-- asked something. Index forge_workflow_runs_owned_by.
SELECT id, claim, wakes, request::text AS request
FROM forge_workflow_runs
WHERE owner_id = $1 AND (wakes > 0 OR request IS NOT NULL)
