-- Invitations to projects, and the mails that would be sent for them.

-- @up
CREATE TYPE invitation_status AS ENUM
    ('sending', 'waiting', 'accepted', 'joined', 'declined', 'withdrawn', 'expired');

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    project uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    -- Of a person who may not have signed up yet.
    email text NOT NULL,
    inviter uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    status invitation_status NOT NULL DEFAULT 'sending',
    -- The time counts from the mail on; until then there is none.
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON invitations (project, email);
CREATE INDEX ON invitations (email);

CREATE TABLE mails (
    id uuid PRIMARY KEY,
    invitation uuid NOT NULL UNIQUE REFERENCES invitations ON DELETE CASCADE,
    recipient text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- @down
DROP TABLE mails;
DROP TABLE invitations;
DROP TYPE invitation_status;
