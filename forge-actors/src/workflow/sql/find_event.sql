-- Called by workflow/store for a wait: $1 run, $2 event, $3 key, $4 events that other waits of its activation
-- have taken. The oldest event with that key which was emitted since the run was created, or the first of those for
-- which it goes on, and which none of them has received. An event counts from when it was routed: that is after its
-- commit. Signals have the run's id as their key. Indexes forge_workflow_events_key and forge_workflow_steps_consumed;
-- without OFFSET 0 the primary key is read from its first event on.
WITH run AS MATERIALIZED (
    SELECT coalesce(events_from, created_at) AS events_from, consumed FROM forge_workflow_runs WHERE id = $1
)
SELECT id, payload::text AS payload
FROM forge_workflow_events
WHERE id = (
    SELECT min(event.id)
    FROM (
        SELECT id
        FROM forge_workflow_events
        WHERE event = $2 AND key = $3
          AND coalesce(routed_at, 'infinity'::timestamptz) >= (SELECT events_from FROM run)
        OFFSET 0
    ) AS event
    WHERE NOT event.id = ANY ($4) AND NOT event.id = ANY (coalesce((SELECT consumed FROM run), '{}'))
      AND NOT EXISTS (SELECT FROM forge_workflow_steps step WHERE step.run_id = $1 AND step.event_id = event.id)
)
