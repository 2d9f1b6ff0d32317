-- Called by job/dependencies.rs after sql/lock_family.sql, in the same transaction: $1 jobs that were brought
-- back from the history. Those of a chain or a batch that were brought back together wait for each other
-- again. Index forge_job_dependencies_job, primary keys. Locks the rows that it changes. A job that still
-- waits for one of them waits for its new end, and the jobs of a chain that its end has cancelled wait again,
-- also those that were brought back with it. Returns those that were not.
-- A job of a chain also waits while the one before it stays in the history without success: a retry of that
-- one ends the wait. When the history has it no more, nothing could end the wait: `broke` becomes true, and
-- sql/wake_waiters.sql lets the job run.
WITH broken AS (
    SELECT waiter_id FROM forge_job_dependencies WHERE job_id = ANY ($1) AND broke
), brought AS (
    SELECT id, waits, is_awaited
    FROM forge_jobs
    CROSS JOIN LATERAL (
        SELECT id IN (SELECT waiter_id FROM broken)
                   OR id = ANY ($1) AND EXISTS (
                       SELECT FROM forge_job_dependencies before
                       WHERE before.waiter_id = forge_jobs.id
                         AND before.kind IN ('step', 'member')
                         AND (
                             before.ended IS NULL
                             OR before.job_id = ANY ($1)
                             OR before.kind = 'step' AND before.ended <> 'completed'
                                AND EXISTS (SELECT FROM forge_job_history WHERE id = before.job_id)
                         )
                   ) AS waits,
               EXISTS (SELECT FROM forge_job_dependencies WHERE job_id = forge_jobs.id) AS is_awaited
    ) AS found
    WHERE (id = ANY ($1) OR id IN (SELECT waiter_id FROM broken))
      AND node_id IS NULL
      AND (waits OR is_awaited)
), noted AS (
    UPDATE forge_jobs job
    SET awaited = coalesce(awaited, is_awaited),
        ready = ready AND NOT waits,
        waits_for_jobs = nullif(waits_for_jobs IS TRUE OR waits, false),
        blocked_by = CASE WHEN waits THEN NULL ELSE blocked_by END,
        due_at = CASE WHEN waits THEN coalesce(due_at, run_at) ELSE due_at END,
        run_at = CASE WHEN waits THEN '9999-12-31' ELSE run_at END,
        batched = batched AND NOT waits
    FROM brought
    WHERE job.id = brought.id
), back AS (
    DELETE FROM forge_job_history step
    USING forge_job_dependencies dependency
    WHERE dependency.job_id = ANY ($1) AND dependency.broke AND step.id = dependency.waiter_id
      AND step.status = 'cancelled'
    RETURNING step.*
), waiting AS (
    INSERT INTO forge_jobs (
        id, name, queue, priority, attempts_max, claim, ready, run_at, args, identity, trace, last_error,
        created_at, concurrency_key, rate_key, timeout_ms, waits_for_jobs, due_at
    )
    SELECT id, name, queue, priority, attempts_max, claim, false, '9999-12-31', args, identity, trace,
           last_error, created_at, concurrency_key, rate_key, timeout_ms, true, now()
    FROM back
    RETURNING id
), reopened AS (
    UPDATE forge_job_dependencies dependency
    SET ended = CASE WHEN dependency.job_id = ANY ($1) THEN NULL ELSE ended END,
        broke = NOT dependency.job_id = ANY ($1)
                AND NOT EXISTS (SELECT FROM forge_job_history WHERE id = dependency.job_id)
    WHERE dependency.job_id = ANY ($1)
       OR dependency.waiter_id = ANY ($1) AND dependency.kind = 'step' AND dependency.ended <> 'completed'
)
SELECT id FROM waiting
