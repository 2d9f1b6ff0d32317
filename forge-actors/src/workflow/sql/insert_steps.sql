-- Called by workflow/migration.rs, in the transaction that migrates a run: $1 run, $2 positions, $3 names, $4
-- results of steps that are added as completed.
INSERT INTO forge_workflow_steps (run_id, position, kind, status, name, shape, attempts, number, output, started_at, finished_at)
SELECT $1, position, 'closure', 'completed', name, 0, 1, 0, output::json, clock_timestamp(), clock_timestamp()
FROM unnest($2::text[], $3::text[], $4::text[]) AS added (position, name, output)
