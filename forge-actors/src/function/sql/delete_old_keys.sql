-- Called by function/idempotency.rs for the duty key_expiry: $1 seconds of retention, $2 how many rows at
-- most. Index forge_idempotency_created_at. Locks the rows that it deletes, and skips rows that another node
-- deletes.
DELETE FROM forge_idempotency
WHERE digest IN (
    SELECT digest FROM forge_idempotency
    WHERE created_at < now() - make_interval(secs => $1)
    ORDER BY created_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
