-- Called by workflow/check.rs: how many runs that have not ended there are of each version. Indexes
-- forge_workflow_runs_due, forge_workflow_runs_owned_by and forge_workflow_runs_parked, which have each of them once;
-- no lock.
SELECT workflow, version, count(*) AS runs
FROM (
    SELECT workflow, version FROM forge_workflow_runs WHERE status IN ('ready', 'waiting')
    UNION ALL
    SELECT workflow, version FROM forge_workflow_runs WHERE owner_id IS NOT NULL
    UNION ALL
    SELECT workflow, version FROM forge_workflow_runs WHERE status IN ('paused', 'diverged', 'compensation_failed')
) AS run
GROUP BY workflow, version
ORDER BY workflow, version
