-- Called by workflow/admin/rewind.rs for forge.retryWorkflow and forge.forkWorkflow: $1 run, $2 whether it
-- may be live. Primary keys; locks the row of the history, so that neither its expiry nor another retry takes
-- it.
WITH ended AS (
    SELECT workflow, version, key, identity, status FROM forge_workflow_history WHERE id = $1 FOR UPDATE
)
SELECT workflow, version, key, coalesce(identity ->> 'tenant', '') AS tenant, status::text AS status FROM ended
UNION ALL
SELECT workflow, version, key, coalesce(identity ->> 'tenant', ''), status::text FROM forge_workflow_runs WHERE id = $1 AND $2
