-- Called by workflow/store for a step that the recorder did not write: $1 lease, $2 run, $3 claim, $4
-- position. A row if the run is held and the step has ended already: an earlier write, whose answer got lost, was
-- committed. Primary keys.
SELECT step.run_id, step.position, step.kind::text AS kind, step.status::text AS status, step.name, step.shape, step.attempts,
       step.number, step.output::text AS output, step.error::text AS error, step.finished_at, step.due_at, step.awaits
FROM forge_workflow_steps step
JOIN forge_workflow_runs run ON run.id = step.run_id AND run.claim = $3 AND run.owner_id = $1
WHERE step.run_id = $2 AND step.position = $4 AND step.finished_at IS NOT NULL
  AND EXISTS (SELECT FROM forge_workflow_owners WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp())
