-- Called by workflow/store: $1 lease, $2 run, $3 claim, $4 the new run, $5 its arguments, $6 seconds for which
-- runs are kept whose workflow says nothing else, $7 rows and $8 bytes of the journal, $9 received events that the
-- new run remembers, the newest ones: older ones, and all that were routed before them, it does not receive. Ends a
-- run and starts the one that it goes on as, with the same key, parent, identity, attributes and live children. A run
-- that is to be cancelled does not go on; one that is to be paused is paused as the new run. Signals that it has not
-- received are moved by sql/adopt_signals.sql. Waits a second at most for each lock: a start whose transaction is
-- open has that of the key, and may have it for long. Locks the row of the lease for key share; then the key, as starts do;
-- then the run and its children in the order of their ids. Primary keys, and the indexes forge_workflow_keys_run,
-- forge_workflow_runs_parent and forge_workflow_steps_awaits.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), bounded AS MATERIALIZED (
    SELECT set_config('lock_timeout', '1s', true)
), known AS MATERIALIZED (
    SELECT
    FROM forge_workflow_keys
    WHERE run_id = $2 AND EXISTS (SELECT FROM owner) AND EXISTS (SELECT FROM bounded)
    FOR NO KEY UPDATE
), family AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_runs
    WHERE (id = $2 OR parent_id = $2) AND (SELECT count(*) FROM known) >= 0
    ORDER BY id
    FOR UPDATE
), ended AS (
    DELETE FROM forge_workflow_runs
    WHERE id = (SELECT id FROM family WHERE id = $2) AND claim = $3 AND owner_id = (SELECT id FROM owner)
      AND request IS DISTINCT FROM 'cancel'
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
), received AS MATERIALIZED (
    SELECT known.id, event.routed_at, row_number() OVER (ORDER BY known.id DESC) AS age
    FROM (
        SELECT unnest(consumed) FROM ended
        UNION ALL
        SELECT step.event_id FROM forge_workflow_steps step JOIN ended ON step.run_id = ended.id WHERE step.kind = 'event'
    ) AS known (id)
    JOIN forge_workflow_events event ON event.id = known.id
), forgotten AS MATERIALIZED (
    SELECT max(routed_at) AS routed_at FROM received WHERE age > $9
), waiting AS (
    UPDATE forge_workflow_steps step SET awaits = $4 FROM ended WHERE step.awaits = ended.id AND step.status = 'waiting'
), adopted AS (
    UPDATE forge_workflow_runs child
    SET parent_id = $4, parent_position = NULL
    FROM family
    WHERE child.id = family.id AND child.id <> $2 AND EXISTS (SELECT FROM ended)
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
       -- Also those that were routed at that very time, since the new run looks from there on.
       (SELECT array_agg(id) FROM received WHERE age <= $9 OR routed_at >= (SELECT routed_at FROM forgotten))
FROM ended
RETURNING id
