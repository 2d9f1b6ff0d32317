-- Called by workflow/store for the lease keeper: $1 lease. Ends a lease: nothing is claimed with it any more.
-- Locks its row for update, and so waits for the claims that are under way. A run that one of them has claimed
-- is seen by the statements after this one. Primary key.
WITH own AS MATERIALIZED (
    SELECT id FROM forge_workflow_owners WHERE id = $1 AND lost_at IS NULL FOR UPDATE
)
UPDATE forge_workflow_owners owner
SET lost_at = clock_timestamp(), crashed = false
FROM own
WHERE owner.id = own.id
