-- Called by workflow/expiry: $1 seconds, $2 events at most. The index forge_workflow_events_emitted_at.
DELETE FROM forge_workflow_events
WHERE id IN (
    SELECT id FROM forge_workflow_events WHERE emitted_at < now() - make_interval(secs => $1) AND routed LIMIT $2
)
