-- Jobs: a small hot table of what is still to be done, and the history of what is not.

-- @up
CREATE TYPE forge_job_status AS ENUM ('pending', 'claimed', 'running', 'completed', 'retry', 'failed', 'dead_letter', 'cancelled');

CREATE TABLE forge_jobs (
    id           uuid             PRIMARY KEY,
    name         text             NOT NULL CHECK (name <> ''),
    queue        text             NOT NULL CHECK (queue <> ''),
    priority     int2             NOT NULL CHECK (priority BETWEEN 0 AND 100),
    status       forge_job_status NOT NULL DEFAULT 'pending',
    ready        bool             NOT NULL,
    run_at       timestamptz      NOT NULL,
    attempt      int4             NOT NULL DEFAULT 0,
    attempts_max int4             NOT NULL CHECK (attempts_max > 0),
    claim        int4             NOT NULL DEFAULT 0,
    node_id      uuid,
    lease_until  timestamptz,
    args         json             NOT NULL,
    identity     json,
    trace        text,
    last_error   text,
    created_at   timestamptz      NOT NULL DEFAULT now(),
    -- What is finished is in the history.
    CONSTRAINT forge_jobs_live CHECK (status IN ('pending', 'claimed', 'running', 'retry')),
    CONSTRAINT forge_jobs_leased CHECK ((status IN ('claimed', 'running')) = (lease_until IS NOT NULL AND node_id IS NOT NULL)),
    CONSTRAINT forge_jobs_time CHECK (isfinite(run_at)),
    CONSTRAINT forge_jobs_lease_whole CHECK ((lease_until IS NULL) = (node_id IS NULL)),
    CONSTRAINT forge_jobs_held_is_ready CHECK (status IN ('pending', 'retry') OR ready),
    CONSTRAINT forge_jobs_attempts CHECK (attempt BETWEEN 0 AND attempts_max AND claim >= attempt),
    CONSTRAINT forge_jobs_begun CHECK (status IN ('pending', 'claimed') OR attempt > 0),
    -- What has not begun has an attempt left to begin.
    CONSTRAINT forge_jobs_another CHECK (status = 'running' OR attempt < attempts_max)
)
-- Every row is written at least twice before it goes. What begins a job, and what renews its lease, touches no index and finds room on its page.
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
      autovacuum_analyze_scale_factor = 0.1);
COMMENT ON TABLE forge_jobs IS 'Jobs that are not finished. Finishing one moves its row to forge_job_history.';
COMMENT ON COLUMN forge_jobs.ready IS 'False until run_at is reached; only ready rows are looked through for work.';
COMMENT ON COLUMN forge_jobs.attempt IS 'Attempts begun, written before the handler starts; snoozing a job, or handing it back, gives one back.';
COMMENT ON COLUMN forge_jobs.claim IS 'Grows with every claim and never falls: a worker names it in each write, and an older one is refused.';
COMMENT ON COLUMN forge_jobs.lease_until IS 'When its node must have renewed the lease, by the clock of the database.';
COMMENT ON COLUMN forge_jobs.identity IS 'Who dispatched it, as its token said.';
COMMENT ON COLUMN forge_jobs.trace IS 'W3C traceparent of the call that dispatched it.';

-- In the order in which jobs are claimed. No index names status, attempt or lease_until, so that writing them is a heap-only update; nobody
-- holds what waits.
CREATE INDEX forge_jobs_claimable ON forge_jobs (queue, priority DESC, run_at, id) WHERE ready AND node_id IS NULL;
CREATE INDEX forge_jobs_scheduled ON forge_jobs (run_at) WHERE NOT ready;
-- Holds few rows: what nodes hold now.
CREATE INDEX forge_jobs_held ON forge_jobs (node_id) WHERE node_id IS NOT NULL;

CREATE TABLE forge_job_history (
    id           uuid             PRIMARY KEY,
    name         text             NOT NULL CHECK (name <> ''),
    queue        text             NOT NULL CHECK (queue <> ''),
    priority     int2             NOT NULL CHECK (priority BETWEEN 0 AND 100),
    status       forge_job_status NOT NULL,
    attempt      int4             NOT NULL,
    attempts_max int4             NOT NULL CHECK (attempts_max > 0),
    claim        int4             NOT NULL,
    node_id      uuid,
    args         json             NOT NULL,
    identity     json,
    trace        text,
    last_error   text,
    created_at   timestamptz      NOT NULL,
    finished_at  timestamptz      NOT NULL DEFAULT now(),
    CONSTRAINT forge_job_history_finished CHECK (status IN ('completed', 'failed', 'dead_letter', 'cancelled')),
    CONSTRAINT forge_job_history_attempts CHECK (attempt BETWEEN 0 AND attempts_max AND claim >= attempt),
    CONSTRAINT forge_job_history_explained CHECK (status NOT IN ('failed', 'dead_letter') OR last_error IS NOT NULL)
);
COMMENT ON TABLE forge_job_history IS 'Finished jobs, kept for as long as [jobs] retention says.';
COMMENT ON COLUMN forge_job_history.claim IS 'As it was last; a job that is tried again goes on from there.';

CREATE INDEX forge_job_history_finished_at ON forge_job_history (finished_at);

-- @down
DROP TABLE forge_job_history;
DROP TABLE forge_jobs;
DROP TYPE forge_job_status;
