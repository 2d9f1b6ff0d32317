-- Called by workflow/admin/rewind.rs for forge.retryWorkflow, in the transaction that has rewritten its
-- journal: $1 run. A run that has ended without success is ready again, with the time limit that it had from
-- its start. Its parent knows of the end, and cancels it no more. Primary keys.
WITH gone AS (
    DELETE FROM forge_workflow_history
    WHERE id = $1 AND status IN ('failed', 'cancelled', 'terminated')
    RETURNING *
)
INSERT INTO forge_workflow_runs (id, workflow, version, key, due_at, claim, input, identity, trace,
    created_at, begun_at, deadline_at, parent_id, parent_position, parent_policy, followed, retain_secs,
    attributes, published, steps, journal_bytes, continues)
SELECT id, workflow, version, key, clock_timestamp(), claim, input, identity, trace, created_at, begun_at,
       clock_timestamp() + (deadline_at - created_at), parent_id, parent_position,
       CASE WHEN parent_id IS NOT NULL THEN 'abandon'::forge_workflow_parent_policy END, followed,
       extract(epoch FROM expires_at - finished_at)::float8, attributes, published, steps, journal_bytes,
       continues
FROM gone
RETURNING id
