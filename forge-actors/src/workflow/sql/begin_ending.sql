-- Called by workflow/store: $1 lease, $2 run, $3 claim, $4 how it will end, $5 why. Written before the first
-- compensation. Who has asked for a cancellation, and why, is added to its message. Primary keys. Locks the row of
-- the lease for key share.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
)
UPDATE forge_workflow_runs
SET ending = $4::forge_workflow_status, request = NULL, cancel_reason = NULL,
    error = CASE
        WHEN $4 = 'cancelled' AND cancel_reason IS NOT NULL
            THEN jsonb_set($5::jsonb, '{message}', to_jsonb(concat_ws(' ', $5::jsonb ->> 'message', cancel_reason)))::json
        ELSE $5::json
    END
WHERE id = $2 AND claim = $3 AND owner_id = (SELECT id FROM owner)
RETURNING id
