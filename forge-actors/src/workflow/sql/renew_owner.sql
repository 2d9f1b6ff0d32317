-- Called by workflow/store for the lease keeper: $1 lease, $2 seconds. Primary key. Changes no key, so it
-- waits for no write of the owner. No row: the lease was taken over, or has run out.
UPDATE forge_workflow_owners
SET renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => $2)
WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
RETURNING id
