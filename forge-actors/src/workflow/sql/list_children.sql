-- Called by workflow/admin/find.rs for forge.workflow: $1 run, $2 children at most: those that a run which is
-- compensated waits for, then the newest ones. Indexes forge_workflow_runs_parent and forge_workflow_history_parent;
-- no lock.
SELECT id, workflow, version, status, is_awaited, parent_position, created_at, finished_at
FROM (
    SELECT id, workflow, version,
           CASE WHEN ending IS NOT NULL AND status IN ('ready', 'running', 'waiting') THEN 'compensating'
                ELSE status::text END AS status,
           parent_policy = 'cancel' AND EXISTS (
               SELECT FROM forge_workflow_runs parent
               WHERE parent.id = $1 AND parent.ending IS NOT NULL AND parent.status IN ('ready', 'running', 'waiting')
           ) AS is_awaited,
           parent_position, created_at, NULL::timestamptz AS finished_at
    FROM forge_workflow_runs
    WHERE parent_id = $1
    UNION ALL
    SELECT id, workflow, version, status::text, false, parent_position, created_at, finished_at
    FROM forge_workflow_history
    WHERE parent_id = $1
) AS child
ORDER BY is_awaited DESC, id DESC
LIMIT $2
