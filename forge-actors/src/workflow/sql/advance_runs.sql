-- Called by workflow/testing: $1 seconds. Lets that time pass for all runs: what they wait for comes earlier, and
-- what they have done was earlier.
WITH runs AS (
    UPDATE forge_workflow_runs
    SET due_at = due_at - make_interval(secs => $1), deadline_at = deadline_at - make_interval(secs => $1),
        begun_at = begun_at - make_interval(secs => $1)
)
UPDATE forge_workflow_steps
SET due_at = due_at - make_interval(secs => $1), finished_at = finished_at - make_interval(secs => $1),
    started_at = started_at - make_interval(secs => $1)
