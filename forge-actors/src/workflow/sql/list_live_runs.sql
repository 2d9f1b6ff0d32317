-- Called by workflow/check.rs: $1 and $2 workflows and versions, $3 runs at most, the newest ones, or null. Reads
-- no run of another version, but for those that are held or parked: indexes forge_workflow_runs_due,
-- forge_workflow_runs_owned_by and forge_workflow_runs_parked, which have each run once; no lock.
WITH code AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::int4[]) AS code (workflow, version)
)
SELECT id
FROM (
    SELECT run.id
    FROM code
    JOIN forge_workflow_runs run ON run.workflow = code.workflow AND run.version = code.version
    WHERE run.status IN ('ready', 'waiting')
    UNION ALL
    SELECT run.id
    FROM code
    JOIN forge_workflow_runs run ON run.workflow = code.workflow AND run.version = code.version
    WHERE run.owner_id IS NOT NULL
    UNION ALL
    SELECT run.id
    FROM code
    JOIN forge_workflow_runs run ON run.workflow = code.workflow AND run.version = code.version
    WHERE run.status IN ('paused', 'diverged', 'compensation_failed')
) AS live
ORDER BY id DESC
LIMIT $3
