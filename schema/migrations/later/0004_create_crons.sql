-- Crons: schedules of handlers, and the runs that came of them. A run is a job; here stands which time it was for.

-- @up
CREATE TYPE forge_cron_source AS ENUM ('code', 'application');
CREATE TYPE forge_cron_overlap AS ENUM ('skip', 'queue', 'allow');
CREATE TYPE forge_cron_status AS ENUM ('waiting', 'dispatched', 'completed', 'failed', 'dead_letter', 'cancelled', 'unknown', 'skipped');
CREATE TYPE forge_cron_reason AS ENUM ('missed', 'overlap', 'queue_full');

CREATE TABLE forge_crons (
    id           uuid               PRIMARY KEY,
    name         text               NOT NULL CHECK (name <> ''),
    tenant       text               CHECK (tenant <> ''),
    source       forge_cron_source  NOT NULL,
    handler      text               NOT NULL CHECK (handler <> ''),
    args         json               NOT NULL DEFAULT '{}',
    identity     json,
    expression   text               NOT NULL CHECK (expression <> ''),
    timezone     text               NOT NULL CHECK (timezone <> ''),
    overlap      forge_cron_overlap NOT NULL,
    catch_up     int4               NOT NULL CHECK (catch_up BETWEEN 0 AND 100),
    jitter_ms    int8               NOT NULL CHECK (jitter_ms BETWEEN 0 AND 86400000),
    queue        text               NOT NULL CHECK (queue <> ''),
    priority     int2               NOT NULL CHECK (priority BETWEEN 0 AND 100),
    attempts_max int4               NOT NULL CHECK (attempts_max > 0),
    next_at      timestamptz        CHECK (isfinite(next_at)),
    paused_at    timestamptz,
    paused_by    text,
    is_absent    bool               NOT NULL DEFAULT false,
    problem      text,
    created_at   timestamptz        NOT NULL DEFAULT now(),
    CONSTRAINT forge_crons_of_code CHECK (source = 'application' OR (tenant IS NULL AND identity IS NULL)),
    CONSTRAINT forge_crons_pause_whole CHECK ((paused_at IS NULL) = (paused_by IS NULL)),
    -- What has no next time says why.
    CONSTRAINT forge_crons_explained CHECK (next_at IS NOT NULL OR problem IS NOT NULL)
);
COMMENT ON TABLE forge_crons IS 'Schedules: those of the code, which the leader of `crons` writes, and those that applications create for their tenants.';
COMMENT ON COLUMN forge_crons.identity IS 'Who created it, as the token said; its runs have this identity. Null for one of the code.';
COMMENT ON COLUMN forge_crons.next_at IS 'The first time that was not looked at yet. It only grows while the schedule stays.';
COMMENT ON COLUMN forge_crons.is_absent IS 'The binary of the leader has no such handler, so nothing is run.';
COMMENT ON COLUMN forge_crons.problem IS 'Why there is no next time.';

CREATE UNIQUE INDEX forge_crons_name ON forge_crons (source, coalesce(tenant, ''), name);
CREATE INDEX forge_crons_due ON forge_crons (next_at) WHERE paused_at IS NULL AND NOT is_absent;

CREATE TABLE forge_cron_runs (
    cron_id      uuid              NOT NULL REFERENCES forge_crons ON DELETE CASCADE,
    scheduled_at timestamptz       NOT NULL,
    status       forge_cron_status NOT NULL,
    reason       forge_cron_reason,
    times        int4              NOT NULL DEFAULT 1 CHECK (times > 0),
    last_at      timestamptz       NOT NULL,
    catch_up     bool              NOT NULL DEFAULT false,
    requested_by text,
    epoch        int8,
    -- The job may be gone from its tables before the run is.
    job_id       uuid,
    created_at   timestamptz       NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz,
    PRIMARY KEY (cron_id, scheduled_at),
    CONSTRAINT forge_cron_runs_skipped CHECK ((status = 'skipped') = (reason IS NOT NULL)),
    CONSTRAINT forge_cron_runs_job CHECK ((status IN ('waiting', 'skipped')) = (job_id IS NULL)),
    CONSTRAINT forge_cron_runs_times CHECK (times = 1 OR reason = 'missed'),
    CONSTRAINT forge_cron_runs_origin CHECK ((epoch IS NULL) = (requested_by IS NOT NULL)),
    CONSTRAINT forge_cron_runs_ended CHECK ((status IN ('waiting', 'dispatched', 'skipped')) = (finished_at IS NULL))
);
COMMENT ON TABLE forge_cron_runs IS 'The times that came, and what became of each. One row for one time of one cron: the primary key.';
COMMENT ON COLUMN forge_cron_runs.times IS 'How many times in a row were missed: from scheduled_at to last_at.';
COMMENT ON COLUMN forge_cron_runs.catch_up IS 'Its time was missed, and it ran afterwards.';
COMMENT ON COLUMN forge_cron_runs.requested_by IS 'Who asked for this run. Null for one that the schedule brought.';
COMMENT ON COLUMN forge_cron_runs.epoch IS 'The term of the leader that wrote it. Null for a run that a person asked for.';
COMMENT ON COLUMN forge_cron_runs.started_at IS 'When the first attempt at its job began.';

-- Few rows: what waits and what runs.
CREATE INDEX forge_cron_runs_open ON forge_cron_runs (cron_id, scheduled_at) WHERE status IN ('waiting', 'dispatched');
CREATE INDEX forge_cron_runs_created_at ON forge_cron_runs (created_at);

-- @down
DROP TABLE forge_cron_runs;
DROP TABLE forge_crons;
DROP TYPE forge_cron_reason;
DROP TYPE forge_cron_status;
DROP TYPE forge_cron_overlap;
DROP TYPE forge_cron_source;
