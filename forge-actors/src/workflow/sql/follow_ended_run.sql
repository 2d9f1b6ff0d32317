-- Called by workflow/follow.rs after sql/follow_run.sql, for a run that has ended, with the same parameters.
-- Primary keys. Locks the row of the run's history, so that it is not deleted meanwhile. Who has cancelled or
-- terminated it, and why, is for operators.
WITH ended AS MATERIALIZED (
    SELECT id, status, published, output, error, created_at, finished_at
    FROM forge_workflow_history
    WHERE id = $1 AND status <> 'continued'
    FOR NO KEY UPDATE
), flagged AS (
    UPDATE forge_workflow_history run SET followed = true
    FROM ended
    WHERE run.id = ended.id AND NOT run.followed
)
INSERT INTO forge_workflow_progress AS known (
    id, run_id, followers, status, compensating, published, result, failure, created_at, finished_at
)
SELECT id, id, ARRAY[$2], status, false, published, output,
       CASE WHEN status = 'failed' THEN error END, created_at, finished_at
FROM ended
ON CONFLICT (id) DO UPDATE
SET followers = CASE
    WHEN known.followers @> ARRAY[$2] OR cardinality(known.followers) >= $3 THEN known.followers
    ELSE known.followers || $2
END
