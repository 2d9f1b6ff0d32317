-- Jobs that wait for jobs: parents for their children, the callback of a batch for its members, each job of a chain for the one before.

-- @up
ALTER TABLE forge_jobs ADD COLUMN awaited bool;
COMMENT ON COLUMN forge_jobs.awaited IS 'Another job waits for the end of this one: the node that runs it writes that into forge_job_dependencies.';
COMMENT ON COLUMN forge_jobs.blocked_by IS 'The key whose limit the job waits for, or `jobs` when it waits for jobs, out of the sight of claims: its run_at is out of reach meanwhile.';
COMMENT ON COLUMN forge_jobs.due_at IS 'The run_at of a job that waits for a limit or for jobs.';

CREATE TYPE forge_job_dependency_kind AS ENUM ('child', 'member', 'step');
CREATE TABLE forge_job_dependencies (
    waiter_id  uuid                      NOT NULL,
    number     int4                      NOT NULL,
    job_id     uuid                      NOT NULL,
    name       text                      NOT NULL CHECK (name <> ''),
    kind       forge_job_dependency_kind NOT NULL,
    ended      forge_job_status          CHECK (ended IN ('completed', 'failed', 'dead_letter', 'cancelled')),
    broke      bool                      NOT NULL DEFAULT false,
    created_at timestamptz               NOT NULL DEFAULT now(),
    PRIMARY KEY (waiter_id, number),
    CONSTRAINT forge_job_dependencies_broke CHECK (NOT broke OR (kind = 'step' AND ended <> 'completed'))
)
WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE forge_job_dependencies IS 'Which jobs a job waits for, or has waited for. No foreign keys: jobs are in forge_jobs, in a batch lease or in the history.';
COMMENT ON COLUMN forge_job_dependencies.number IS 'The order in which they were dispatched.';
COMMENT ON COLUMN forge_job_dependencies.name IS 'Wire name of the handler of the job.';
COMMENT ON COLUMN forge_job_dependencies.ended IS 'How the job has ended; null until that is recorded.';
COMMENT ON COLUMN forge_job_dependencies.broke IS 'The job has ended without success, and its end has cancelled the waiter: a chain.';
CREATE INDEX forge_job_dependencies_job ON forge_job_dependencies (job_id);
CREATE INDEX forge_job_dependencies_open ON forge_job_dependencies (waiter_id, number) WHERE ended IS NULL;
CREATE INDEX forge_job_dependencies_created_at ON forge_job_dependencies USING brin (created_at) WITH (autosummarize = on);

-- @down
DROP TABLE forge_job_dependencies;
DROP TYPE forge_job_dependency_kind;
-- The version before knows no such wait: what waits for jobs is due.
UPDATE forge_jobs SET run_at = due_at, due_at = NULL, blocked_by = NULL WHERE blocked_by = 'jobs';
ALTER TABLE forge_jobs DROP COLUMN awaited;
COMMENT ON COLUMN forge_jobs.due_at IS 'The run_at of a job that waits for a limit.';
COMMENT ON COLUMN forge_jobs.blocked_by IS 'The key whose limit the job waits for, out of the sight of claims: its run_at is out of reach meanwhile.';
