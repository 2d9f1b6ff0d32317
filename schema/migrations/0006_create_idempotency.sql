-- Answers of mutations that were called with an idempotency key, so that a repeated call gets the first one's answer.

-- @up
CREATE TABLE forge_idempotency (
    digest     bytea       PRIMARY KEY CHECK (octet_length(digest) = 32),
    function   text        NOT NULL CHECK (function <> ''),
    args_hash  bytea       NOT NULL CHECK (octet_length(args_hash) = 32),
    answer     bytea,
    xid        xid8        NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE forge_idempotency IS 'One row per key, function and caller of a committed mutation. Kept for 24 hours.';
COMMENT ON COLUMN forge_idempotency.digest IS 'SHA-256 of function, tenant, subject and key, each with its length.';
COMMENT ON COLUMN forge_idempotency.answer IS 'The JSON that was answered; null for public functions, whose answers are not kept.';
COMMENT ON COLUMN forge_idempotency.xid IS 'The transaction of the call: a repeated one is told what it wrote and when.';

CREATE INDEX forge_idempotency_created_at ON forge_idempotency (created_at);

-- @down
DROP TABLE forge_idempotency;
