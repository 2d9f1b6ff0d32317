-- Called by workflow/admin/rewind.rs for forge.forkWorkflow, in the transaction that copies the journal after
-- it: $1 the run that is forked, live or not, $2 the new run, $3 its version or null. `claim` begins at
-- 1, so that the first claim is number 2: an activation with claim 1 does not load the journal. Primary keys.
WITH source AS (
    SELECT workflow, version, input, identity, trace, deadline_at - created_at AS allowed, retain_secs,
           attributes
    FROM forge_workflow_runs
    WHERE id = $1
    UNION ALL
    SELECT workflow, version, input, identity, trace, deadline_at - created_at,
           extract(epoch FROM expires_at - finished_at)::float8, attributes
    FROM forge_workflow_history
    WHERE id = $1
)
INSERT INTO forge_workflow_runs (id, workflow, version, due_at, claim, input, identity, trace, deadline_at,
    retain_secs, attributes)
SELECT $2, workflow, coalesce($3, version), clock_timestamp(), 1, input, identity, trace,
       clock_timestamp() + allowed, retain_secs,
       coalesce(attributes, '{}') || jsonb_build_object('forkedFrom', $1::text)
FROM source
RETURNING id
