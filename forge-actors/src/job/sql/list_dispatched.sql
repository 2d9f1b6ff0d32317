-- Called by job/inline.rs, in the database of one test: $1 names of handlers, null for all. Reads both tables
-- of jobs; no lock.
SELECT id, name, queue, priority, status::text AS status, attempt, attempts_max, node_id, last_error,
       created_at, run_at, NULL AS finished_at, blocked_by,
       args::text AS args, identity ->> 'subject' AS subject, identity ->> 'tenant' AS tenant, trace
FROM forge_unfinished_jobs
WHERE $1::text[] IS NULL OR name = ANY ($1)
UNION ALL
SELECT id, name, queue, priority, status::text, attempt, attempts_max, node_id, last_error,
       created_at, NULL, finished_at, NULL,
       args::text, identity ->> 'subject', identity ->> 'tenant', trace
FROM forge_job_history
WHERE $1::text[] IS NULL OR name = ANY ($1)
ORDER BY id
