-- The crash journal: every actor that crashed, with what a person needs to find the cause.

-- @up
CREATE TABLE forge_crashes (
    id          int8        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node_id     uuid        NOT NULL,
    path        text        NOT NULL CHECK (path <> ''),
    kind        text        NOT NULL CHECK (kind <> ''),
    cause       text        NOT NULL,
    message     text,
    backtrace   text,
    restarts    int4        NOT NULL CHECK (restarts >= 0),
    occurrences int4        NOT NULL DEFAULT 1 CHECK (occurrences > 0),
    at          timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE forge_crashes IS 'One row per crash, or per burst of equal crashes of one actor (occurrences). Kept for 30 days.';
COMMENT ON COLUMN forge_crashes.path IS 'Place in the supervision tree, as in functions/dispatcher.';
COMMENT ON COLUMN forge_crashes.message IS 'Name of the message that was being handled; null when it crashed while starting or stopping.';
COMMENT ON COLUMN forge_crashes.restarts IS 'How often its supervisor had restarted it before.';

CREATE INDEX forge_crashes_at ON forge_crashes (at);

-- @down
DROP TABLE forge_crashes;
