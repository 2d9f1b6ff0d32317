-- Called by workflow/expiry: attempts that say nothing any more, because their run has another claim or has
-- ended. The table has a row for each attempt of a lost node, and few others; primary keys.
DELETE FROM forge_workflow_attempts attempt
WHERE NOT EXISTS (
    SELECT FROM forge_workflow_runs run WHERE run.id = attempt.run_id AND run.claim = attempt.claim
)
