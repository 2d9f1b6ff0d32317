-- Called by job/admin for forge.job, forge.retryJob and forge.cancelJob: $1 id. Both primary keys,
-- and all batch leases; no lock.
SELECT id, name, queue, priority, status::text AS status, attempt, attempts_max, node_id, last_error,
       created_at, run_at, NULL AS finished_at, blocked_by,
       args::text AS args, identity ->> 'subject' AS subject, identity ->> 'tenant' AS tenant, trace
FROM forge_unfinished_jobs
WHERE id = $1
UNION ALL
SELECT id, name, queue, priority, status::text, attempt, attempts_max, node_id, last_error,
       created_at, NULL, finished_at, NULL,
       args::text, identity ->> 'subject', identity ->> 'tenant', trace
FROM forge_job_history
WHERE id = $1
