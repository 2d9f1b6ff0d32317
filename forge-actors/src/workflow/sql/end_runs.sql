-- Called by workflow/store for the leaver: $1 lease, $2 seconds for which runs are kept whose workflow says
-- nothing else, then an array for each column. Moves runs to the history, and writes an event for those that
-- others wait for. A run of which a person has asked to be cancelled does not complete, and none ends otherwise
-- than its row says. Locks the row of the
-- lease for key share. Runs without a row in the answer were not ended.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), ended AS (
    DELETE FROM forge_workflow_runs run
    USING unnest($3::uuid[], $4::int4[], $5::text[], $6::text[], $7::text[], $8::int4[], $9::int8[],
                 $10::text[])
        AS ending (run_id, claim, status, output, error, steps, journal_bytes, expected)
    WHERE run.id = ending.run_id AND run.claim = ending.claim AND run.owner_id = (SELECT id FROM owner)
      AND run.ending::text IS NOT DISTINCT FROM ending.expected
      AND (ending.status NOT IN ('completed', 'continued') OR run.request IS DISTINCT FROM 'cancel')
    RETURNING run.*, ending.status AS end_status, ending.output, ending.error AS end_error, ending.steps AS end_steps,
              ending.journal_bytes AS end_bytes
), kept AS (
    INSERT INTO forge_workflow_history (id, workflow, version, key, status, claim, error, output, input, identity, trace,
        created_at, begun_at, expires_at, deadline_at, parent_id, parent_position, followed, attributes, published, steps,
        journal_bytes, continues)
    SELECT id, workflow, version, key, end_status::forge_workflow_status, claim, coalesce(end_error::json, error), output::json,
           input, identity, trace, created_at, begun_at, clock_timestamp() + make_interval(secs => coalesce(retain_secs, $2)),
           deadline_at, parent_id, parent_position, followed, attributes, published, end_steps, end_bytes, continues
    FROM ended
), announced AS (
    INSERT INTO forge_workflow_events (event, key, payload)
    SELECT 'forge.run', id::text, 'null'
    FROM ended
    WHERE parent_id IS NOT NULL OR awaited
    RETURNING id
)
SELECT id, parent_id IS NOT NULL OR awaited AS is_awaited FROM ended
