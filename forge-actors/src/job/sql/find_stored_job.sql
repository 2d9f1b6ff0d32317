-- Called by job/admin/clone.rs for forge.cloneJob: $1 id. Both primary keys, and all batch leases; no lock.
SELECT name, queue, priority, attempts_max, args::text AS args, identity::text AS identity, timeout_ms
FROM forge_unfinished_jobs
WHERE id = $1
UNION ALL
SELECT name, queue, priority, attempts_max, args::text, identity::text, timeout_ms
FROM forge_job_history
WHERE id = $1
