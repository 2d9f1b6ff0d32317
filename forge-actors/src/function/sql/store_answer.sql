-- Called by function/idempotency.rs, last in the transaction that reserved the key: $1 digest, $2 answer.
-- Primary key; its own row.
UPDATE forge_idempotency SET answer = $2 WHERE digest = $1
