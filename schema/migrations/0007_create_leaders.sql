-- Leaderships: which node performs a duty of the whole cluster, since when, and who did before.

-- @up
CREATE TYPE forge_leader_end AS ENUM ('resigned', 'lost');

CREATE TABLE forge_leaders (
    name        text        PRIMARY KEY CHECK (name <> ''),
    epoch       int8        NOT NULL CHECK (epoch > 0),
    node_id     uuid        NOT NULL,
    node_name   text        NOT NULL CHECK (node_name <> ''),
    elected_at  timestamptz NOT NULL DEFAULT now(),
    renewed_at  timestamptz NOT NULL DEFAULT now(),
    resigned_at timestamptz,
    CHECK (renewed_at >= elected_at),
    CHECK (resigned_at >= elected_at)
)
-- A leader updates its rows every second: with free space in the page such an update touches no index.
WITH (fillfactor = 50);
COMMENT ON TABLE forge_leaders IS 'One row per leadership: its current term, or the last one. Deleting a row lets epochs begin anew, so rows are kept.';
COMMENT ON COLUMN forge_leaders.epoch IS 'Grows with every term. A leader names it in each transaction, and an older one is refused.';
COMMENT ON COLUMN forge_leaders.node_id IS 'The node that leads; no foreign key, since rows outlive nodes.';
COMMENT ON COLUMN forge_leaders.renewed_at IS 'When the leader last proved that its session holds the advisory lock.';
COMMENT ON COLUMN forge_leaders.resigned_at IS 'When the leader stepped down in order; null while the term lasts, and after a leader was lost.';

CREATE TABLE forge_leader_history (
    name       text             NOT NULL,
    epoch      int8             NOT NULL,
    node_id    uuid             NOT NULL,
    node_name  text             NOT NULL,
    elected_at timestamptz      NOT NULL,
    renewed_at timestamptz      NOT NULL,
    ended_at   timestamptz      NOT NULL DEFAULT now(),
    reason     forge_leader_end NOT NULL,
    PRIMARY KEY (name, epoch)
);
COMMENT ON TABLE forge_leader_history IS 'Terms that have ended, kept for as long as [leader] retention says.';
COMMENT ON COLUMN forge_leader_history.ended_at IS 'When the leader stepped down, or when the next one was elected after it was lost.';
COMMENT ON COLUMN forge_leader_history.reason IS 'resigned: the leader stepped down in order. lost: its session ended, and the next leader found the lock free.';

CREATE INDEX forge_leader_history_ended_at ON forge_leader_history (ended_at);

-- @down
DROP TABLE forge_leader_history;
DROP TABLE forge_leaders;
DROP TYPE forge_leader_end;
