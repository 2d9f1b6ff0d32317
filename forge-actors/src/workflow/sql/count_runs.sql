-- Called by workflow/admin/totals.rs for forge.workflowTotals: $1 how many runs are counted of each part, and
-- of each status of the parts `parked` and `ended`. Each part reads an index in its order (the primary keys,
-- forge_workflow_runs_parked, forge_workflow_history_unsuccessful) and stops there, so that the cost is that
-- of so many rows however many there are. No lock.
WITH live AS (
    SELECT workflow, version,
           CASE WHEN ending IS NOT NULL AND status IN ('ready', 'running', 'waiting') THEN 'compensating'
                ELSE status::text END AS status
    FROM forge_workflow_runs
    ORDER BY id DESC
    LIMIT $1
), parked AS (
    SELECT run.workflow, run.version, run.status::text AS status
    FROM UNNEST(ARRAY['paused', 'diverged', 'compensation_failed']::forge_workflow_status[])
        AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT workflow, version, status FROM forge_workflow_runs
        WHERE status = wanted.status AND status IN ('paused', 'diverged', 'compensation_failed')
        ORDER BY id DESC
        LIMIT $1
    ) AS run
), finished AS (
    SELECT workflow, version, status::text AS status
    FROM forge_workflow_history
    ORDER BY id DESC
    LIMIT $1
), ended AS (
    SELECT run.workflow, run.version, run.status::text AS status
    FROM UNNEST(ARRAY['failed', 'cancelled', 'terminated']::forge_workflow_status[]) AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT workflow, version, status FROM forge_workflow_history
        WHERE status = wanted.status AND status IN ('failed', 'cancelled', 'terminated')
        ORDER BY id DESC
        LIMIT $1
    ) AS run
)
SELECT part, workflow, version, status, count(*) AS runs
FROM (
    SELECT 'live' AS part, workflow, version, status FROM live
    UNION ALL SELECT 'parked', workflow, version, status FROM parked
    UNION ALL SELECT 'finished', workflow, version, status FROM finished
    UNION ALL SELECT 'ended', workflow, version, status FROM ended
) AS run
GROUP BY part, workflow, version, status
