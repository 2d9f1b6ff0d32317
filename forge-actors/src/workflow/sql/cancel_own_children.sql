-- Called by workflow/store for a run that ends without success, before it is compensated and before it ends: $1
-- lease, $2 run, $3 claim. As sql/cancel_children.sql, while the run is held. `asked`: some were not asked before;
-- `is_open`: some have not ended. `is_missed`: one has gone on as a new run meanwhile, which is asked by calling this
-- again. Index forge_workflow_runs_parent. Locks the row of the lease for key share.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), wanted AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_runs
    WHERE parent_id = $2 AND parent_policy = 'cancel' AND ending IS NULL AND request IS DISTINCT FROM 'cancel'
      AND EXISTS (
          SELECT FROM forge_workflow_runs parent
          WHERE parent.id = $2 AND parent.claim = $3 AND parent.owner_id = (SELECT id FROM owner)
      )
    ORDER BY id
    FOR NO KEY UPDATE
), asked AS (
    UPDATE forge_workflow_runs run
    SET request = 'cancel',
        status = CASE WHEN run.status IN ('waiting', 'paused', 'diverged') THEN 'ready'::forge_workflow_status ELSE run.status END,
        due_at = CASE WHEN run.owner_id IS NULL THEN clock_timestamp() ELSE run.due_at END,
        error = CASE WHEN run.status = 'paused' THEN NULL ELSE run.error END
    FROM wanted
    WHERE run.id = wanted.id
    RETURNING run.id
)
SELECT EXISTS (SELECT FROM owner) AND EXISTS (
           SELECT FROM forge_workflow_runs WHERE id = $2 AND claim = $3 AND owner_id = (SELECT id FROM owner)
       ) AS is_held,
       EXISTS (SELECT FROM asked) AS asked,
       EXISTS (SELECT FROM forge_workflow_runs WHERE parent_id = $2 AND parent_policy = 'cancel') AS is_open,
       EXISTS (
           SELECT FROM forge_workflow_runs child
           WHERE child.parent_id = $2 AND child.parent_policy = 'cancel' AND child.ending IS NULL
             AND child.request IS DISTINCT FROM 'cancel' AND NOT EXISTS (SELECT FROM asked WHERE asked.id = child.id)
       ) AS is_missed
