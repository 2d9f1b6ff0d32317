-- Called by workflow/counter.rs on the node that leads `workflows`: $1 runs that are counted at most, the newest
-- ones, and of each parked status. Primary key, backwards, and forge_workflow_runs_parked; no lock.
SELECT status, count(*) AS runs
FROM (
    (
        SELECT status::text AS status
        FROM (SELECT status FROM forge_workflow_runs ORDER BY id DESC LIMIT $1) AS newest
        WHERE status IN ('ready', 'running', 'waiting')
    )
    UNION ALL
    SELECT run.status::text
    FROM unnest(ARRAY['paused', 'diverged', 'compensation_failed']::forge_workflow_status[]) AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT status
        FROM forge_workflow_runs
        WHERE status = wanted.status AND status IN ('paused', 'diverged', 'compensation_failed')
        ORDER BY id DESC
        LIMIT $1
    ) AS run
) AS run
GROUP BY status
