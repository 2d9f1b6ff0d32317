-- Limits of jobs, keys that make a dispatch unique, and settings of queues.

-- @up
ALTER TABLE forge_jobs ADD COLUMN concurrency_key text;
ALTER TABLE forge_jobs ADD COLUMN rate_key text;
ALTER TABLE forge_jobs ADD COLUMN blocked_by text;
ALTER TABLE forge_jobs ADD COLUMN due_at timestamptz;
ALTER TABLE forge_jobs ADD COLUMN timeout_ms int8;
ALTER TABLE forge_jobs ADD COLUMN aged_at timestamptz;
ALTER TABLE forge_jobs ADD CONSTRAINT forge_jobs_blocked CHECK ((blocked_by IS NULL) = (due_at IS NULL));
ALTER TABLE forge_jobs ADD CONSTRAINT forge_jobs_timeout CHECK (timeout_ms > 0);
COMMENT ON COLUMN forge_jobs.concurrency_key IS 'Of the jobs with this key only so many are held at a time as their handler says. Such a job is always held by its own row: the rows that are held are the count.';
COMMENT ON COLUMN forge_jobs.rate_key IS 'Of the jobs with this key only so many are claimed in a time as their handler says.';
COMMENT ON COLUMN forge_jobs.blocked_by IS 'The key whose limit the job waits for. Its run_at is 9999-12-31 meanwhile, so that neither promotions nor claims see it.';
COMMENT ON COLUMN forge_jobs.due_at IS 'The run_at of a blocked job, restored when it is unblocked.';
COMMENT ON COLUMN forge_jobs.aged_at IS 'When the priority was raised last, because the job had been due for long.';
COMMENT ON COLUMN forge_jobs.timeout_ms IS 'The time limit of an attempt, where the dispatch named one.';

-- What is held and what may be claimed of each key; and what waits for each key, in the order in which tenants take turns.
CREATE INDEX forge_jobs_concurrency ON forge_jobs (concurrency_key, (node_id IS NOT NULL)) WHERE ready AND concurrency_key IS NOT NULL;
CREATE INDEX forge_jobs_rate ON forge_jobs (rate_key) WHERE ready AND rate_key IS NOT NULL AND node_id IS NULL;
CREATE INDEX forge_jobs_blocked ON forge_jobs (blocked_by, (left(coalesce(identity ->> 'tenant', ''), 200)), priority DESC, due_at, id)
    WHERE blocked_by IS NOT NULL;

ALTER TABLE forge_job_history ADD COLUMN concurrency_key text;
ALTER TABLE forge_job_history ADD COLUMN rate_key text;
ALTER TABLE forge_job_history ADD COLUMN timeout_ms int8;

CREATE TABLE forge_job_limits (
    key       text          PRIMARY KEY CHECK (key <> ''),
    bucket_ends      timestamptz[] NOT NULL DEFAULT '{}',
    bucket_claims int4[]        NOT NULL DEFAULT '{}',
    opens_at   timestamptz,
    last_tenant text,
    limit_override   int4          CHECK (limit_override >= 0),
    overridden_by    text,
    used_at   timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT forge_job_limits_buckets CHECK (cardinality(bucket_ends) = cardinality(bucket_claims)),
    CONSTRAINT forge_job_limits_override CHECK ((limit_override IS NULL) = (overridden_by IS NULL))
)
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE forge_job_limits IS 'A row for each key of a limit that was claimed from lately. Its lock makes claims of one key take turns. It counts the claims of rate limits; what is held is counted in forge_jobs.';
COMMENT ON COLUMN forge_job_limits.bucket_ends IS 'Ends of the buckets of a rate limit within its window, the oldest first.';
COMMENT ON COLUMN forge_job_limits.bucket_claims IS 'Claims in each bucket.';
COMMENT ON COLUMN forge_job_limits.last_tenant IS 'The tenant whose job was unblocked last; the one after it is next.';
COMMENT ON COLUMN forge_job_limits.limit_override IS 'What an operator has set in the place of the limit of the handler; 0 lets nothing pass.';
COMMENT ON COLUMN forge_job_limits.opens_at IS 'When the window of a rate limit has capacity for a blocked job; null when none is blocked by it.';

CREATE TABLE forge_job_keys (
    key        text        PRIMARY KEY CHECK (key <> ''),
    job_id     uuid        NOT NULL,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
)
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE forge_job_keys IS 'Keys of dispatches that are unique. No foreign key: the job is in forge_jobs, in a batch lease or in the history.';
COMMENT ON COLUMN forge_job_keys.job_id IS 'The job that was dispatched with the key last.';
COMMENT ON COLUMN forge_job_keys.expires_at IS 'Until then another dispatch finds this job; null: until the job has ended.';
CREATE INDEX forge_job_keys_expires_at ON forge_job_keys (coalesce(expires_at, created_at));

CREATE TABLE forge_job_queues (
    queue           text        PRIMARY KEY CHECK (queue <> ''),
    paused_at       timestamptz,
    paused_by       text,
    concurrency_max int4        CHECK (concurrency_max > 0),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT forge_job_queues_paused CHECK ((paused_at IS NULL) = (paused_by IS NULL))
);
COMMENT ON TABLE forge_job_queues IS 'Settings of queues that operators have changed while nodes run. A queue without a row has none.';
COMMENT ON COLUMN forge_job_queues.concurrency_max IS 'Of the jobs of the queue only so many are held at a time by all nodes together.';

ALTER TABLE forge_nodes ADD COLUMN capabilities text[];
ALTER TABLE forge_nodes ADD COLUMN resources jsonb;
COMMENT ON COLUMN forge_nodes.resources IS 'What jobs may take of the node at a time, by word; null for a node of a version that does not say.';
COMMENT ON COLUMN forge_nodes.capabilities IS 'What the node can do that not every node can; null for a node of a version that does not say.';

DROP VIEW forge_unfinished_jobs;
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

-- @down
DROP VIEW forge_unfinished_jobs;
-- The version before knows no limits: what waits for one is due.
UPDATE forge_jobs SET run_at = due_at, due_at = NULL, blocked_by = NULL WHERE blocked_by IS NOT NULL;
DROP TABLE forge_job_queues;
DROP TABLE forge_job_keys;
DROP TABLE forge_job_limits;
ALTER TABLE forge_job_history DROP COLUMN timeout_ms;
ALTER TABLE forge_job_history DROP COLUMN rate_key;
ALTER TABLE forge_job_history DROP COLUMN concurrency_key;
DROP INDEX forge_jobs_blocked;
DROP INDEX forge_jobs_rate;
DROP INDEX forge_jobs_concurrency;
ALTER TABLE forge_jobs DROP CONSTRAINT forge_jobs_timeout;
ALTER TABLE forge_jobs DROP CONSTRAINT forge_jobs_blocked;
ALTER TABLE forge_nodes DROP COLUMN resources;
ALTER TABLE forge_nodes DROP COLUMN capabilities;
ALTER TABLE forge_jobs DROP COLUMN aged_at;
ALTER TABLE forge_jobs DROP COLUMN timeout_ms;
ALTER TABLE forge_jobs DROP COLUMN due_at;
ALTER TABLE forge_jobs DROP COLUMN blocked_by;
ALTER TABLE forge_jobs DROP COLUMN rate_key;
ALTER TABLE forge_jobs DROP COLUMN concurrency_key;
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
