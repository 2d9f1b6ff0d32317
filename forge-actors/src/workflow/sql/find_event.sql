-- Called by workflow/store for a wait: $1 run, $2 event, $3 key, $4 events that other waits of its activation
-- have taken. The oldest event with that key which was emitted or routed since the run was created, and which the
-- run has not consumed; an event is routed after its commit. Signals have the run's id as their key. Index forge_workflow_events_key, primary key of the steps.
SELECT event.id, event.payload::text AS payload
FROM forge_workflow_events event
WHERE event.event = $2 AND event.key = $3 AND NOT event.id = ANY ($4)
  AND (SELECT created_at FROM forge_workflow_runs WHERE id = $1) <= greatest(event.emitted_at, event.routed_at)
  AND NOT EXISTS (SELECT FROM forge_workflow_steps step WHERE step.run_id = $1 AND step.event_id = event.id)
ORDER BY event.id
LIMIT 1
