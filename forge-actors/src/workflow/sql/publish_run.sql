-- Called by workflow/store: $1 lease, $2 run, $3 claim, $4 what the run shows, $5 its attributes; null leaves
-- them. Primary keys. Locks the row of the lease for key share.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
)
UPDATE forge_workflow_runs
SET published = coalesce($4::json, published), attributes = coalesce($5::jsonb, attributes)
WHERE id = $2 AND claim = $3 AND owner_id = (SELECT id FROM owner)
RETURNING id
