-- Called by function/idempotency.rs when the key was used before: $1 digest. Primary key; no lock.
SELECT args_hash, answer, xid::text AS xid FROM forge_idempotency WHERE digest = $1
