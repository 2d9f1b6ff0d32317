-- What people did to a running node through Forge's own handlers, and the one-time links that were used.

-- @up
CREATE TYPE forge_audit_outcome AS ENUM ('underway', 'done', 'failed');

CREATE TABLE forge_audit (
    id         uuid                NOT NULL PRIMARY KEY,
    at         timestamptz         NOT NULL DEFAULT now(),
    subject    text                NOT NULL,
    action     text                NOT NULL CHECK (action <> ''),
    node_id    uuid,
    target     text                NOT NULL,
    outcome    forge_audit_outcome NOT NULL DEFAULT 'underway',
    error      text,
    CHECK ((outcome = 'failed') = (error IS NOT NULL))
);
COMMENT ON TABLE forge_audit IS 'One row per administrative action, written before the action and settled after it. Kept for ever.';
COMMENT ON COLUMN forge_audit.node_id IS 'The node that was acted on; no foreign key, since rows outlive nodes.';
CREATE INDEX forge_audit_at ON forge_audit (at);

CREATE TABLE forge_used_links (
    id         uuid        PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE forge_used_links IS 'One-time sign-in links that were redeemed; a row goes once its link would have expired anyway.';

-- @down
DROP TABLE forge_used_links;
DROP TABLE forge_audit;
DROP TYPE forge_audit_outcome;
