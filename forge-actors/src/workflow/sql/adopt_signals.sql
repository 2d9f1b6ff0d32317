-- Called by workflow/store for a run that goes on for another one, before its function begins: $1 the run before it,
-- $2 the run. Signals that the run before has not received are those of this one. They are not moved when the run goes
-- on, since a router may just then be marking them as routed to the run before. Those that are committed later are
-- passed on by sql/route_events.sql. Index forge_workflow_events_run.
UPDATE forge_workflow_events event
SET key = $2::uuid::text, run_id = $2
WHERE event.run_id = $1
  AND NOT EXISTS (SELECT FROM forge_workflow_steps step WHERE step.run_id = $1 AND step.event_id = event.id)
