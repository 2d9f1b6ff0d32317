-- Called by workflow/store for the claimer: $1 lease, $2 and $3 names and versions of workflows that this
-- binary has code for, $4 runs of each of them at most, $5 runs at most in all, taken in the order of the
-- arrays. Reads the index forge_workflow_runs_due once for each version. Locks the runs, and skips those that
-- others have locked. Locks the row of the lease for key share: without a living lease nothing is claimed.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), due AS MATERIALIZED (
    SELECT run.id
    FROM unnest($2::text[], $3::int4[], $4::int8[]) AS code (workflow, version, most)
    CROSS JOIN LATERAL (
        SELECT id
        FROM forge_workflow_runs run
        WHERE run.workflow = code.workflow AND run.version = code.version
          AND run.status IN ('ready', 'waiting') AND run.due_at <= now()
        ORDER BY run.due_at
        LIMIT code.most
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS run
    WHERE EXISTS (SELECT FROM owner)
    LIMIT $5
)
UPDATE forge_workflow_runs run
SET status = 'running', owner_id = $1, claim = run.claim + 1, begun_at = coalesce(run.begun_at, clock_timestamp())
WHERE run.id = ANY (ARRAY (SELECT id FROM due))
RETURNING run.id, run.workflow, run.version, run.claim, run.wakes, run.request::text AS request,
          run.ending::text AS ending, run.input::text AS input,
          run.identity::text AS identity, run.trace, run.begun_at, run.deadline_at, run.attributes::text AS attributes, run.continues,
          run.due_at, clock_timestamp() AS now
