-- What operators look for and do: failures by status, jobs that wait after a failure, and which nodes have which handlers.

-- @up
-- Few rows, and no column that the begin of an attempt or a renewal writes: they stay heap-only updates.
CREATE INDEX forge_jobs_failing ON forge_jobs (id) WHERE last_error IS NOT NULL;
CREATE INDEX forge_job_history_unsuccessful ON forge_job_history (status, id) WHERE status <> 'completed';

-- Claims look at nothing but whether a queue has a row.
ALTER TABLE forge_job_queues ADD CONSTRAINT forge_job_queues_set CHECK (paused_at IS NOT NULL OR concurrency_max IS NOT NULL);

ALTER TABLE forge_nodes ADD COLUMN job_names text[];
COMMENT ON COLUMN forge_nodes.job_names IS 'Names of the jobs that it has handlers for; null for a version that writes none.';

CREATE TYPE forge_job_action AS ENUM ('retry', 'cancel', 'discard');

CREATE TABLE forge_job_bulks (
    job_id       uuid             PRIMARY KEY,
    action       forge_job_action NOT NULL,
    filter       json             NOT NULL,
    requested_by text             NOT NULL,
    expected     int8             CHECK (expected >= 0),
    done         int8             NOT NULL DEFAULT 0,
    skipped      int8             NOT NULL DEFAULT 0,
    next_before  uuid,
    started_at   timestamptz      NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    CONSTRAINT forge_job_bulks_counts CHECK (done >= 0 AND skipped >= 0)
);
COMMENT ON TABLE forge_job_bulks IS 'What an operator does to all jobs that match a filter, batch by batch. No foreign key: its own job is in forge_jobs, in a batch lease or in the history.';
COMMENT ON COLUMN forge_job_bulks.job_id IS 'The job that does it.';
COMMENT ON COLUMN forge_job_bulks.expected IS 'How many jobs matched when they were counted before.';
COMMENT ON COLUMN forge_job_bulks.skipped IS 'Jobs that had changed meanwhile, so that the action did not apply to them.';
COMMENT ON COLUMN forge_job_bulks.next_before IS 'The next batch is of jobs before this one; null before the first batch.';
CREATE INDEX forge_job_bulks_started_at ON forge_job_bulks (started_at);

-- @down
DROP TABLE forge_job_bulks;
DROP TYPE forge_job_action;
ALTER TABLE forge_nodes DROP COLUMN job_names;
ALTER TABLE forge_job_queues DROP CONSTRAINT forge_job_queues_set;
DROP INDEX forge_job_history_unsuccessful;
DROP INDEX forge_jobs_failing;
