-- Called by job/store for the rescuer, on every node: $1 how many at most, $2 seconds of spread, $3 the
-- jobs to choose from, or null for all. Reads the whole index forge_jobs_held, which holds the claimed and
-- running jobs, and all of forge_job_leases. Locks the rows whose lease has run out, and skips rows that
-- are being written; a second rescuer finds them changed. They are taken by their places, as in
-- sql/claim_jobs.sql.
-- A job that had not begun waits as before. A job that had begun runs again at once the first time, and
-- after each further loss at a random moment that is farther off: one of the jobs that were lost together
-- may have caused the loss, and should not run together with all the others again.
-- `awaited`: the jobs that have ended by this and that others wait for.
WITH expired AS (
    SELECT id, ctid AS tid, status = 'running' AS begun, attempt >= attempts_max AS spent,
           CASE WHEN status = 'running' THEN random() * least(attempt - 1, 10) * $2 ELSE 0 END AS delay
    FROM forge_jobs
    WHERE node_id IS NOT NULL AND lease_until < now() AND ($3::uuid[] IS NULL OR id = ANY ($3))
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), back AS (
    UPDATE forge_jobs job
    SET status = CASE WHEN expired.begun THEN 'retry'::forge_job_status ELSE 'pending' END,
        ready = expired.delay = 0,
        run_at = CASE
            WHEN expired.delay = 0 THEN job.run_at
            ELSE now() + make_interval(secs => expired.delay)
        END,
        last_error = CASE
            WHEN expired.begun THEN 'lease expired during attempt ' || job.attempt || ' (worker or node lost)'
            ELSE job.last_error
        END,
        batched = job.batched AND NOT expired.begun,
        node_id = NULL,
        lease_until = NULL
    FROM expired
    WHERE job.ctid = ANY (ARRAY(SELECT tid FROM expired WHERE NOT (begun AND spent)))
      AND job.id = expired.id
    RETURNING job.queue, expired.begun
), spent AS (
    DELETE FROM forge_jobs
    WHERE ctid = ANY (ARRAY(SELECT tid FROM expired WHERE begun AND spent))
    RETURNING *
), dead AS (
    INSERT INTO forge_job_history (
        id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
        last_error, created_at, concurrency_key, rate_key, timeout_ms
    )
    SELECT id, name, queue, priority, 'dead_letter', attempt, attempts_max, claim, node_id, args, identity,
           trace,
           'lease expired during attempt ' || attempt || ', the last one (worker or node lost)', created_at,
           concurrency_key, rate_key, timeout_ms
    FROM spent
    RETURNING id
)
SELECT (SELECT array_agg(DISTINCT queue) FROM back) AS queues,
       (SELECT count(*) FROM back WHERE begun) AS retried,
       (SELECT count(*) FROM back WHERE NOT begun) AS returned,
       (SELECT count(*) FROM dead) AS dead,
       (SELECT array_agg(id) FROM spent WHERE awaited) AS awaited,
       (
           SELECT array_agg(id)
           FROM (SELECT id FROM forge_job_leases WHERE lease_until < now() LIMIT 100) AS expired
       ) AS expired_leases
