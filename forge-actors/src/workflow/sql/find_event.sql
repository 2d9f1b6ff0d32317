-- Called by workflow/store for a wait: $1 run, $2 event, $3 key, $4 events that other waits of its activation
-- have taken. The oldest event with that key which was emitted since the run was created, or the first of those for
-- which it goes on, and which none of them has received. An event counts from when it was routed: that is after its
-- commit. Signals have the run's id as their key. Index forge_workflow_events_key, primary key of the steps.
WITH run AS MATERIALIZED (
    SELECT coalesce(events_from, created_at) AS events_from, consumed FROM forge_workflow_runs WHERE id = $1
)
SELECT event.id, event.payload::text AS payload
FROM forge_workflow_events event
WHERE event.event = $2 AND event.key = $3 AND NOT event.id = ANY ($4)
  AND coalesce(event.routed_at, 'infinity'::timestamptz) >= (SELECT events_from FROM run)
  AND NOT EXISTS (SELECT FROM forge_workflow_steps step WHERE step.run_id = $1 AND step.event_id = event.id)
  AND NOT event.id = ANY (coalesce((SELECT consumed FROM run), '{}'))
ORDER BY event.id
LIMIT 1
