-- Jobs that wait for jobs: parents for their children, the last job of a batch for its members, each job of a chain for the one before.

-- @up
ALTER TABLE forge_jobs ADD COLUMN awaited bool;
ALTER TABLE forge_jobs ADD COLUMN waits_for_jobs bool;
-- Not blocked_by: a node of the version before takes each value of it for the key of a limit, and would unblock the job.
ALTER TABLE forge_jobs DROP CONSTRAINT forge_jobs_blocked;
ALTER TABLE forge_jobs ADD CONSTRAINT forge_jobs_blocked CHECK ((blocked_by IS NOT NULL OR waits_for_jobs IS TRUE) = (due_at IS NOT NULL));
ALTER TABLE forge_jobs ADD CONSTRAINT forge_jobs_waits CHECK (blocked_by IS NULL OR waits_for_jobs IS NOT TRUE);
CREATE INDEX forge_jobs_waiting ON forge_jobs (id) WHERE waits_for_jobs;
COMMENT ON COLUMN forge_jobs.awaited IS 'Another job waits for the end of this one: the node that runs it writes that into forge_job_dependencies.';
COMMENT ON COLUMN forge_jobs.waits_for_jobs IS 'The job waits for other jobs, and is not claimed: its run_at is 9999-12-31 meanwhile.';
COMMENT ON COLUMN forge_jobs.due_at IS 'The run_at of a job that waits for a limit or for jobs, restored when the wait ends.';

DROP VIEW forge_unfinished_jobs;
CREATE VIEW forge_unfinished_jobs AS
SELECT id, name, queue, priority, status, ready, coalesce(due_at, run_at) AS run_at, attempt, attempts_max, claim, node_id, lease_until, args,
       identity, trace, last_error, created_at, refused_by, losses, NULL::uuid AS lease_id, concurrency_key, rate_key, blocked_by, timeout_ms, waits_for_jobs
FROM forge_jobs
UNION ALL
SELECT job.id, job.name, job.queue, job.priority,
       CASE WHEN job.id = ANY (lease.begun) THEN 'running'::forge_job_status ELSE 'claimed' END,
       job.ready, job.run_at, job.attempt + (job.id = ANY (lease.begun))::int, job.attempts_max, job.claim + 1, lease.node_id,
       lease.lease_until, job.args, job.identity, job.trace,
       coalesce(lease.error, job.last_error), job.created_at, job.refused_by, job.losses, lease.id, NULL, NULL, NULL, job.timeout_ms, NULL
FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS job
WHERE NOT job.id = ANY (lease.gone)
  AND NOT EXISTS (SELECT FROM forge_job_history history WHERE history.id = job.id);
COMMENT ON VIEW forge_unfinished_jobs IS 'Jobs that are not finished, those in batch leases included.';

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
DROP VIEW forge_unfinished_jobs;
DROP TABLE forge_job_dependencies;
DROP TYPE forge_job_dependency_kind;
-- The version before knows no such wait: what waits for jobs is due.
UPDATE forge_jobs SET run_at = due_at, due_at = NULL, waits_for_jobs = NULL WHERE waits_for_jobs;
DROP INDEX forge_jobs_waiting;
ALTER TABLE forge_jobs DROP CONSTRAINT forge_jobs_waits;
ALTER TABLE forge_jobs DROP CONSTRAINT forge_jobs_blocked;
ALTER TABLE forge_jobs ADD CONSTRAINT forge_jobs_blocked CHECK ((blocked_by IS NULL) = (due_at IS NULL));
ALTER TABLE forge_jobs DROP COLUMN waits_for_jobs;
ALTER TABLE forge_jobs DROP COLUMN awaited;
COMMENT ON COLUMN forge_jobs.due_at IS 'The run_at of a blocked job, restored when it is unblocked.';
CREATE VIEW forge_unfinished_jobs AS
SELECT id, name, queue, priority, status, ready, coalesce(due_at, run_at) AS run_at, attempt, attempts_max, claim, node_id, lease_until, args,
       identity, trace, last_error, created_at, refused_by, losses, NULL::uuid AS lease_id, concurrency_key, rate_key, blocked_by, timeout_ms
FROM forge_jobs
UNION ALL
SELECT job.id, job.name, job.queue, job.priority,
       CASE WHEN job.id = ANY (lease.begun) THEN 'running'::forge_job_status ELSE 'claimed' END,
       job.ready, job.run_at, job.attempt + (job.id = ANY (lease.begun))::int, job.attempts_max, job.claim + 1, lease.node_id,
       lease.lease_until, job.args, job.identity, job.trace,
       coalesce(lease.error, job.last_error), job.created_at, job.refused_by, job.losses, lease.id, NULL, NULL, NULL, job.timeout_ms
FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS job
WHERE NOT job.id = ANY (lease.gone)
  AND NOT EXISTS (SELECT FROM forge_job_history history WHERE history.id = job.id);
COMMENT ON VIEW forge_unfinished_jobs IS 'Jobs that are not finished, those in batch leases included.';
