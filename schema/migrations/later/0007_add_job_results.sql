-- What jobs return, why those that failed did as their dispatchers may read it, and how far the jobs are that report it or that clients follow.

-- @up
ALTER TABLE forge_job_history ADD COLUMN result json;
ALTER TABLE forge_job_history ADD COLUMN failure json;
COMMENT ON COLUMN forge_job_history.result IS 'What the handler of a completed job returned; null for one that returns nothing.';
COMMENT ON COLUMN forge_job_history.failure IS 'Why the job ended without success, without what is for operators alone (last_error).';

ALTER TABLE forge_jobs ADD COLUMN followed bool;
COMMENT ON COLUMN forge_jobs.followed IS 'Clients may follow the job: the node that runs it writes its begins and ends into forge_job_progress.';

CREATE TABLE forge_job_progress (
    id           uuid             PRIMARY KEY,
    followers    text[],
    claim        int4             NOT NULL,
    status       forge_job_status NOT NULL,
    attempt      int4             NOT NULL,
    attempts_max int4             NOT NULL CHECK (attempts_max > 0),
    run_at       timestamptz,
    progress     float8           CHECK (progress BETWEEN 0 AND 1),
    message      text,
    result       json,
    failure      json,
    created_at   timestamptz      NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    CONSTRAINT forge_job_progress_finished
        CHECK ((status IN ('completed', 'failed', 'dead_letter', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT forge_job_progress_outcome CHECK (finished_at IS NOT NULL OR (result IS NULL AND failure IS NULL))
)
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE forge_job_progress IS 'How far jobs are that report it, or that clients follow. A copy of what forge_jobs and forge_job_history say, in a table of which changes are captured: those two have no triggers.';
COMMENT ON COLUMN forge_job_progress.followers IS 'The identities that have a handle of the job, as JSON; null while nobody follows it.';
COMMENT ON COLUMN forge_job_progress.claim IS 'Of the attempt that has reported last; a report of an earlier one is refused.';
CREATE INDEX forge_job_progress_unfinished ON forge_job_progress (id) WHERE finished_at IS NULL;
CREATE INDEX forge_job_progress_finished_at ON forge_job_progress (finished_at) WHERE finished_at IS NOT NULL;
SELECT forge_enable_reactivity('forge_job_progress');

CREATE TYPE forge_job_log_level AS ENUM ('info', 'warn', 'error');
CREATE TABLE forge_job_log (
    job_id uuid                NOT NULL,
    claim  int4                NOT NULL,
    number int4                NOT NULL,
    at     timestamptz         NOT NULL,
    level  forge_job_log_level NOT NULL,
    line   text                NOT NULL,
    PRIMARY KEY (job_id, claim, number)
)
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE forge_job_log IS 'The last lines that jobs have logged.';
COMMENT ON COLUMN forge_job_log.number IS 'Counts the lines of an attempt, also those that are not kept.';

-- @down
DROP TABLE forge_job_log;
DROP TYPE forge_job_log_level;
DROP TABLE forge_job_progress;
ALTER TABLE forge_jobs DROP COLUMN followed;
ALTER TABLE forge_job_history DROP COLUMN failure;
ALTER TABLE forge_job_history DROP COLUMN result;
