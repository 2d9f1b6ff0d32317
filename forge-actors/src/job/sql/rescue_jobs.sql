-- Called by job/store.rs for the rescuer, on every node: $1 how many at most. Index forge_jobs_held, all of it: it holds what runs now.
-- Locks the rows whose lease has run out, and skips those that are being written; whoever is second finds them changed.
WITH expired AS (
    SELECT id, attempt >= attempts_max AS spent
    FROM forge_jobs
    WHERE lease_until < now()
    ORDER BY id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), again AS (
    UPDATE forge_jobs job
    SET status = 'retry', ready = true, node_id = NULL, lease_until = NULL, last_error = 'its node was lost during attempt ' || job.attempt
    FROM expired
    WHERE job.id = expired.id AND NOT expired.spent
    RETURNING job.queue
), spent AS (
    DELETE FROM forge_jobs job USING expired
    WHERE job.id = expired.id AND expired.spent
    RETURNING job.*
), dead AS (
    INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace, last_error, created_at)
    SELECT id, name, queue, priority, 'dead_letter', attempt, attempts_max, claim, node_id, args, identity, trace,
           'its node was lost during attempt ' || attempt || ', the last one', created_at
    FROM spent
    RETURNING id
)
SELECT (SELECT array_agg(DISTINCT queue) FROM again) AS queues, (SELECT count(*) FROM again) AS again, (SELECT count(*) FROM dead) AS dead
