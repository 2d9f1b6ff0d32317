-- Batch leases: a claim takes the rows of many jobs out of forge_jobs and writes them into one row, so that a job costs two row
-- versions (its deletion, its history) and a renewal one row for each batch.

-- @up
ALTER TABLE forge_jobs ADD COLUMN batched bool NOT NULL DEFAULT false;
ALTER TABLE forge_jobs ADD COLUMN losses int2 NOT NULL DEFAULT 0;
ALTER TABLE forge_jobs ADD CONSTRAINT forge_jobs_losses CHECK (losses >= 0 AND NOT (batched AND losses > 0));
COMMENT ON COLUMN forge_jobs.batched IS 'May be claimed in a batch lease, except for its last attempt. False with large arguments and after a loss: its attempts are then written when they begin.';
COMMENT ON COLUMN forge_jobs.losses IS 'How often a batch lease that held the job ran out.';

CREATE TABLE forge_job_leases (
    id          uuid         PRIMARY KEY,
    node_id     uuid         NOT NULL,
    claimed_at  timestamptz  NOT NULL DEFAULT now(),
    lease_until timestamptz  NOT NULL,
    jobs        forge_jobs[] NOT NULL CHECK (cardinality(jobs) > 0),
    gone        uuid[]       NOT NULL DEFAULT '{}',
    begun       uuid[]       NOT NULL DEFAULT '{}',
    error       text
)
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE forge_job_leases IS 'Batch leases. A job of one is held unless it is gone or in forge_job_history. Columns added to forge_jobs must be nullable and without a default, since this table uses its row type.';
COMMENT ON COLUMN forge_job_leases.lease_until IS 'When its node must have renewed the lease, by the clock of the database.';
COMMENT ON COLUMN forge_job_leases.jobs IS 'The rows of forge_jobs as they were before the claim.';
COMMENT ON COLUMN forge_job_leases.gone IS 'Jobs that the lease no longer holds: they wait in forge_jobs again, or have ended.';
COMMENT ON COLUMN forge_job_leases.error IS 'Why the database refuses that a job leaves this lease.';
COMMENT ON COLUMN forge_job_leases.begun IS 'Jobs whose attempt had begun when the lease was renewed last.';

-- Every job that is not finished, whether its own row holds it or a batch lease.
CREATE VIEW forge_unfinished_jobs AS
SELECT id, name, queue, priority, status, ready, run_at, attempt, attempts_max, claim, node_id, lease_until, args, identity, trace,
       last_error, created_at, refused_by, losses, NULL::uuid AS lease_id
FROM forge_jobs
UNION ALL
SELECT job.id, job.name, job.queue, job.priority,
       CASE WHEN job.id = ANY (lease.begun) THEN 'running'::forge_job_status ELSE 'claimed' END,
       job.ready, job.run_at, job.attempt + (job.id = ANY (lease.begun))::int, job.attempts_max, job.claim + 1, lease.node_id,
       lease.lease_until, job.args, job.identity, job.trace,
       coalesce(lease.error, job.last_error), job.created_at, job.refused_by, job.losses, lease.id
FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS job
WHERE NOT job.id = ANY (lease.gone)
  AND NOT EXISTS (SELECT FROM forge_job_history history WHERE history.id = job.id);
COMMENT ON VIEW forge_unfinished_jobs IS 'Jobs that are not finished, those in batch leases included.';

-- Rows come in the order in which they finished, so their times need no entry each. Failures are looked for by their time, and are few.
DROP INDEX forge_job_history_finished_at;
CREATE INDEX forge_job_history_finished_at ON forge_job_history USING brin (finished_at) WITH (autosummarize = on);
CREATE INDEX forge_job_history_failed ON forge_job_history (finished_at) WHERE status IN ('failed', 'dead_letter');

ALTER TABLE forge_nodes ADD COLUMN leases_batches bool NOT NULL DEFAULT false;
COMMENT ON COLUMN forge_nodes.leases_batches IS 'Rescues batch leases. While a worker without it lives, no node claims in batches.';

-- @down
ALTER TABLE forge_nodes DROP COLUMN leases_batches;
DROP INDEX forge_job_history_failed;
DROP INDEX forge_job_history_finished_at;
CREATE INDEX forge_job_history_finished_at ON forge_job_history (finished_at);
DROP VIEW forge_unfinished_jobs;
-- What batch leases hold waits again: the version before knows only the rows of forge_jobs.
INSERT INTO forge_jobs
SELECT job.*
FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS job
WHERE NOT job.id = ANY (lease.gone)
  AND NOT EXISTS (SELECT FROM forge_job_history history WHERE history.id = job.id);
DROP TABLE forge_job_leases;
ALTER TABLE forge_jobs DROP CONSTRAINT forge_jobs_losses;
ALTER TABLE forge_jobs DROP COLUMN losses;
ALTER TABLE forge_jobs DROP COLUMN batched;
