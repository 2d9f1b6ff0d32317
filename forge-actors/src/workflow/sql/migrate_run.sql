-- Called by workflow/migration.rs, in the transaction that migrates a run: $1 lease, $2 run, $3 claim, $4
-- version, $5 arguments. Primary keys. Locks the row of the lease for key share. No row: the run is not held
-- any more.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
)
UPDATE forge_workflow_runs
SET version = $4, input = $5::json
WHERE id = $2 AND claim = $3 AND owner_id = (SELECT id FROM owner)
RETURNING id
