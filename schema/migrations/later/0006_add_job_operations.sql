-- What operators look for and do: failures by status, jobs that wait after a failure, and which nodes have which handlers.

-- @up
-- Few rows, and no column that the begin of an attempt or a renewal writes: they stay heap-only updates.
CREATE INDEX forge_jobs_failing ON forge_jobs (id) WHERE last_error IS NOT NULL;
CREATE INDEX forge_job_history_unsuccessful ON forge_job_history (status, id) WHERE status <> 'completed';

-- Claims look at nothing but whether a queue has a row.
ALTER TABLE forge_job_queues ADD CONSTRAINT forge_job_queues_set CHECK (paused_at IS NOT NULL OR concurrency_max IS NOT NULL);

ALTER TABLE forge_nodes ADD COLUMN job_names text[];
COMMENT ON COLUMN forge_nodes.job_names IS 'Names of the jobs that it has handlers for; null for a version that writes none.';

-- @down
ALTER TABLE forge_nodes DROP COLUMN job_names;
ALTER TABLE forge_job_queues DROP CONSTRAINT forge_job_queues_set;
DROP INDEX forge_job_history_unsuccessful;
DROP INDEX forge_jobs_failing;
