-- Called by workflow/store for a wait: $1 run, $2 event, $3 key, $4 events that other waits of its activation
-- have taken. The oldest event with that key which was emitted since the run was created, or the first of those for
-- which it goes on, and which none of them has received. An event counts from when it was routed: that is after its
-- commit. Of those that were routed first, the smallest id counts: routers on several nodes may swap some. Signals
-- have the run's id as their key. Indexes forge_workflow_events_key and forge_workflow_steps_consumed.
WITH run AS MATERIALIZED (
    SELECT coalesce(events_from, created_at) AS events_from, consumed FROM forge_workflow_runs WHERE id = $1
)
SELECT id, payload::text AS payload
FROM forge_workflow_events
WHERE id = (
    SELECT min(first.id)
    FROM (
        SELECT event.id
        FROM forge_workflow_events event
        WHERE event.event = $2 AND event.key = $3 AND NOT event.id = ANY ($4)
          AND coalesce(event.routed_at, 'infinity'::timestamptz) >= (SELECT events_from FROM run)
          AND NOT event.id = ANY (coalesce((SELECT consumed FROM run), '{}'))
          AND NOT EXISTS (SELECT FROM forge_workflow_steps step WHERE step.run_id = $1 AND step.event_id = event.id)
        ORDER BY event.event, event.key, coalesce(event.routed_at, 'infinity'::timestamptz), event.id
        LIMIT 1000
    ) AS first
)
