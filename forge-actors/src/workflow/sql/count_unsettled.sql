-- Called by workflow/testing: runs that a node executes or may execute now, and events that are not routed. The
-- database of a test is small.
SELECT (SELECT count(*) FROM forge_workflow_runs WHERE status = 'running' OR status IN ('ready', 'waiting') AND due_at <= now())
     + (SELECT count(*) FROM forge_workflow_events WHERE NOT routed)
