-- Called by workflow/store for runs whose activation has ended before they have left: for the rescuer, in a
-- statement after the commit of sql/lose_owners.sql, and for the lease keeper, for activations of its own node
-- that have failed. $1 runs of lost leases at most, or of leases that have no row; $2 this node's lease, $3 and
-- $4 runs that it gives back and their claims; $5 how many crashes in a row pause a run, $6 the error
-- that it has then. A crash is an activation that ended early because it failed or its process was gone; the count
-- begins again when a step ends. A lease that ran out otherwise adds none. The run is ready again: at once after the
-- first crash, and later after each further one. Indexes
-- forge_workflow_runs_owned_by, primary keys. Locks the row of the lease for key share, and the runs in the order of
-- their ids.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $2 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), lost AS MATERIALIZED (
    SELECT run.id,
           coalesce((SELECT crashed FROM forge_workflow_owners owner WHERE owner.id = run.owner_id), true) AS crashed
    FROM forge_workflow_runs run
    WHERE run.owner_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM forge_workflow_owners owner WHERE owner.id = run.owner_id AND owner.lost_at IS NULL)
    ORDER BY run.id
    LIMIT $1
    FOR NO KEY UPDATE
), given_back AS MATERIALIZED (
    SELECT run.id, true AS crashed
    FROM forge_workflow_runs run
    JOIN unnest($3::uuid[], $4::int4[]) AS given (id, claim) ON run.id = given.id AND run.claim = given.claim
    WHERE run.owner_id = (SELECT id FROM owner)
    ORDER BY run.id
    FOR NO KEY UPDATE OF run
), held AS MATERIALIZED (
    SELECT run.id, picked.crashed,
           CASE WHEN NOT picked.crashed THEN run.crashes
                WHEN run.crashed_at IS NULL
                     OR EXISTS (SELECT FROM forge_workflow_steps step
                                WHERE step.run_id = run.id AND step.finished_at > run.crashed_at)
                THEN 1 ELSE run.crashes + 1 END AS crashes
    FROM (SELECT * FROM lost UNION ALL SELECT * FROM given_back) AS picked
    JOIN forge_workflow_runs run ON run.id = picked.id
)
UPDATE forge_workflow_runs run
SET owner_id = NULL, crashes = held.crashes,
    crashed_at = CASE WHEN held.crashed THEN clock_timestamp() ELSE run.crashed_at END,
    status = CASE WHEN held.crashes < $5 THEN 'ready'::forge_workflow_status ELSE 'paused' END,
    -- Of runs that were lost with their node, the one that has ended it comes back apart from the others.
    due_at = clock_timestamp() + CASE WHEN NOT held.crashed OR held.crashes < 2 THEN interval '0'
        ELSE least(300, 2 ^ (held.crashes - 2)) * (0.5 + random()) * interval '1 second' END,
    error = CASE
        WHEN held.crashes < $5 THEN run.error
        WHEN run.error IS NULL THEN $6::json
        ELSE json_build_object('code', $6::json -> 'code', 'message', $6::json -> 'message', 'cause', run.error)
    END
FROM held
WHERE run.id = held.id
RETURNING run.id, run.status::text AS status, run.workflow, CASE WHEN held.crashed THEN run.crashes ELSE 0 END AS crashes
