-- Called by function/idempotency.rs, first in the transaction of a mutation: $1 digest, $2 function, $3 hash
-- of the arguments. Primary key. Waits for another transaction that inserts the same digest; returns a row
-- when there was none.
INSERT INTO forge_idempotency (digest, function, args_hash) VALUES ($1, $2, $3)
ON CONFLICT (digest) DO NOTHING
RETURNING true
