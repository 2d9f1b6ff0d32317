-- Called by workflow/store: $1 lease, $2 run, $3 claim, $4 the new run, $5 its arguments, $6 seconds for which
-- runs are kept whose workflow says nothing else, $7 rows and $8 bytes of the journal. Ends a run and starts
-- the one that it goes on as, with the same key, parent, identity and attributes. A run of which a person has
-- asked to be cancelled does not go on; one that is to be paused is paused as the new run. Signals and events that
-- it has not received wait for the new run, which remembers the newest $9 events that were received; older ones,
-- and all that were routed before them, it does not receive. Its live children are those of the new run then. Locks the row of the lease for key share, and the children in
-- the order of their ids. Primary keys, and the indexes forge_workflow_keys_run,
-- forge_workflow_events_run, forge_workflow_runs_parent and forge_workflow_steps_awaits.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), ended AS (
    DELETE FROM forge_workflow_runs
    WHERE id = $2 AND claim = $3 AND owner_id = (SELECT id FROM owner) AND request IS DISTINCT FROM 'cancel'
    RETURNING *
), kept AS (
    INSERT INTO forge_workflow_history (id, workflow, version, key, status, claim, input, identity, trace, created_at, begun_at,
        expires_at, deadline_at, parent_id, parent_position, followed, attributes, published, steps, journal_bytes, continues)
    SELECT id, workflow, version, key, 'continued', claim, input, identity, trace, created_at, begun_at,
           clock_timestamp() + make_interval(secs => coalesce(retain_secs, $6)), deadline_at, parent_id, parent_position,
           followed, attributes, published, $7, $8, continues
    FROM ended
), named AS (
    UPDATE forge_workflow_keys known
    SET run_id = $4
    FROM ended
    WHERE known.run_id = ended.id
), signalled AS (
    UPDATE forge_workflow_events event
    SET key = $4::text, run_id = $4
    FROM ended
    WHERE event.run_id = ended.id
      AND NOT EXISTS (SELECT FROM forge_workflow_steps step WHERE step.run_id = ended.id AND step.event_id = event.id)
), received AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY id DESC) AS age
    FROM (
        SELECT unnest(consumed) FROM ended
        UNION ALL
        SELECT step.event_id FROM forge_workflow_steps step JOIN ended ON step.run_id = ended.id WHERE step.kind = 'event'
    ) AS event (id)
    WHERE id IS NOT NULL
), forgotten AS (
    SELECT max(event.routed_at) AS routed_at
    FROM forge_workflow_events event
    WHERE event.id IN (SELECT id FROM received WHERE age > $9)
), waiting AS (
    UPDATE forge_workflow_steps step SET awaits = $4 FROM ended WHERE step.awaits = ended.id AND step.status = 'waiting'
), children AS MATERIALIZED (
    SELECT child.id FROM forge_workflow_runs child WHERE child.parent_id = (SELECT id FROM ended) ORDER BY child.id
    FOR NO KEY UPDATE
), adopted AS (
    UPDATE forge_workflow_runs child SET parent_id = $4, parent_position = NULL FROM children WHERE child.id = children.id
), announced AS (
    -- For a wait that is committed after this statement has begun: its run looks again, and finds the new one.
    INSERT INTO forge_workflow_events (event, key, payload)
    SELECT 'forge.run', id::text, 'null' FROM ended WHERE parent_id IS NOT NULL OR awaited
)
INSERT INTO forge_workflow_runs (id, workflow, version, key, due_at, input, identity, trace, created_at, deadline_at, parent_id,
    parent_position, parent_policy, awaited, followed, retain_secs, attributes, published, continues, request, events_from,
    consumed)
SELECT $4, workflow, version, key, clock_timestamp(), $5::json, identity, trace, clock_timestamp(),
       clock_timestamp() + (deadline_at - created_at), parent_id, parent_position, parent_policy, awaited, followed,
       retain_secs, attributes, published, id, request,
       greatest(coalesce(events_from, created_at), (SELECT routed_at FROM forgotten)),
       (SELECT array_agg(received.id) FROM received WHERE age <= $9)
FROM ended
RETURNING id
