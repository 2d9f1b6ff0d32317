-- Called by workflow/admin/apply.rs for forge.terminateWorkflow and forge.bulkWorkflows: $1 runs, $2 why, $3
-- seconds for which runs are kept whose workflow says nothing else. Moves runs to the history as they are,
-- closes the open rows of their journals, and writes an event for those that others wait for. What their
-- owners write later is refused, because the rows are gone. Locks the runs, and their children, in the order of their
-- ids. Primary keys, index forge_workflow_runs_parent.
WITH wanted AS MATERIALIZED (
    SELECT id FROM forge_workflow_runs WHERE id = ANY ($1) OR parent_id = ANY ($1) ORDER BY id FOR UPDATE
), ended AS (
    DELETE FROM forge_workflow_runs run USING wanted WHERE run.id = wanted.id AND run.id = ANY ($1) RETURNING run.*
), kept AS (
    INSERT INTO forge_workflow_history (id, workflow, version, key, status, claim, error, input, identity,
        trace, created_at, begun_at, expires_at, deadline_at, parent_id, parent_position, followed, attributes,
        published, steps, journal_bytes, continues)
    SELECT id, workflow, version, key, 'terminated', claim, $2::json, input, identity, trace, created_at,
           begun_at, clock_timestamp() + make_interval(secs => coalesce(retain_secs, $3)), deadline_at,
           parent_id, parent_position, followed, attributes, published, steps, journal_bytes, continues
    FROM ended
), closed AS (
    UPDATE forge_workflow_steps step
    SET status = 'abandoned', finished_at = clock_timestamp()
    FROM ended
    WHERE step.run_id = ended.id AND step.finished_at IS NULL
), announced AS (
    INSERT INTO forge_workflow_events (event, key, payload)
    SELECT 'forge.run', id::text, 'null'
    FROM ended
    WHERE parent_id IS NOT NULL OR awaited
)
SELECT id FROM ended
