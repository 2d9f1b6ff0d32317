-- Called by workflow/testing: runs that a node executes or may execute now, and events that are not routed. The
-- database of a test is small. By the clock of each row, as sql/list_unsettled.sql.
SELECT (SELECT count(*) FROM forge_workflow_runs WHERE status = 'running' OR status IN ('ready', 'waiting') AND due_at <= clock_timestamp())
     + (SELECT count(*) FROM forge_workflow_events WHERE NOT routed)
