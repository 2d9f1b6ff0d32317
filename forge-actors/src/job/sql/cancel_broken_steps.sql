-- Called by job/dependencies.rs after sql/wake_waiters.sql in the same transaction: $1 waiters, $2 jobs whose
-- ends were recorded. Index forge_job_dependencies_job, primary keys. Locks the rows that it moves. A job of
-- a chain ends when the one before has ended without success. Returns the jobs that have ended by this.
WITH broken AS (
    UPDATE forge_job_dependencies dependency
    SET broke = true
    FROM forge_jobs waiter
    WHERE dependency.job_id = ANY ($2)
      AND dependency.waiter_id = ANY ($1)
      AND NOT dependency.broke
      AND dependency.kind = 'step'
      AND dependency.ended <> 'completed'
      AND waiter.id = dependency.waiter_id
      AND waiter.waits_for_jobs
    RETURNING dependency.waiter_id, dependency.job_id, dependency.name, dependency.ended
), gone AS (
    DELETE FROM forge_jobs waiter USING broken
    WHERE waiter.id = broken.waiter_id
    RETURNING waiter.*, broken.name AS before_name, broken.job_id AS before_id, broken.ended AS before_ended
)
INSERT INTO forge_job_history (
    id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
    last_error, created_at, concurrency_key, rate_key, timeout_ms, failure
)
SELECT id, name, queue, priority, 'cancelled', attempt, attempts_max, claim, node_id, args, identity, trace,
       'the job before it in its chain, ' || before_name || ' ' || before_id || ', ended as ' || before_ended,
       created_at, concurrency_key, rate_key, timeout_ms,
       json_build_object(
           'code', 'CANCELLED',
           'message', 'a job before it in its chain has ended without success',
           'details', json_build_object('job', before_id, 'status', before_ended),
           'isOwn', false
       )
FROM gone
RETURNING id
