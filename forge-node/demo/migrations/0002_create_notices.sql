-- What people are told about their tasks.

-- @up
CREATE TABLE notices (
    id uuid PRIMARY KEY,
    recipient uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    task uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    seen boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON notices (recipient, seen);
CREATE INDEX ON notices (task);

-- @down
DROP TABLE notices;
