-- Called by job/inline.rs, in the database of one test: $1 names of handlers, null for all. Reads the tables
-- of jobs and their progress; no lock.
WITH job AS (
    SELECT id, name, queue, priority, status, attempt, attempts_max, node_id, last_error, created_at, run_at,
           NULL::timestamptz AS finished_at, blocked_by, waits_for_jobs, args, identity, trace,
           NULL::json AS result
    FROM forge_unfinished_jobs
    WHERE $1::text[] IS NULL OR name = ANY ($1)
    UNION ALL
    SELECT id, name, queue, priority, status, attempt, attempts_max, node_id, last_error, created_at, NULL,
           finished_at, NULL, NULL, args, identity, trace, result
    FROM forge_job_history
    WHERE $1::text[] IS NULL OR name = ANY ($1)
)
SELECT job.id, job.name, job.queue, job.priority, job.status::text AS status, job.attempt, job.attempts_max,
       job.node_id, job.last_error, job.created_at, job.run_at, job.finished_at, job.blocked_by,
       job.waits_for_jobs, job.args::text AS args,
       job.identity ->> 'subject' AS subject, job.identity ->> 'tenant' AS tenant, job.trace,
       job.result::text AS result, known.progress, known.message,
       (
           SELECT json_agg(
               json_build_object('at', at, 'level', level, 'line', line, 'claim', claim, 'number', number)
               ORDER BY claim, number
           )::text
           FROM forge_job_log
           WHERE job_id = job.id
       ) AS log,
       (
           SELECT json_build_object(
               'completed', count(*) FILTER (WHERE ended = 'completed'),
               'failed', count(*) FILTER (WHERE ended IN ('failed', 'dead_letter')),
               'cancelled', count(*) FILTER (WHERE ended = 'cancelled'),
               'open', count(*) FILTER (WHERE ended IS NULL)
           )
           FROM forge_job_dependencies
           WHERE waiter_id = job.id
           HAVING count(*) > 0
       ) AS waited,
       (SELECT waiter_id FROM forge_job_dependencies WHERE job_id = job.id LIMIT 1) AS waiter
FROM job LEFT JOIN forge_job_progress known ON known.id = job.id
ORDER BY job.id
