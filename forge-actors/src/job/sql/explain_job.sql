-- Called by job/admin/why.rs for forge.whyJob: $1 id. Primary keys, and all batch leases; no lock. `step_`: the
-- job before it in its chain, which has ended without success and for whose retry it waits.
SELECT job.name, job.queue, job.priority, job.status::text AS status, job.run_at, job.attempt,
       job.attempts_max, job.node_id, job.last_error, job.refused_by, job.blocked_by,
       job.blocked_by = job.concurrency_key AS by_concurrency,
       CASE WHEN job.waits_for_jobs THEN (
           SELECT count(*) FROM forge_job_dependencies WHERE waiter_id = job.id AND ended IS NULL
       ) END AS awaited_jobs,
       step.job_id AS step_id, step.name AS step_name, step.ended::text AS step_status, job.claimed_at,
       job.finished_at,
       job.run_at > now() AND job.blocked_by IS NULL AND job.waits_for_jobs IS NOT TRUE AS is_later,
       settings.paused_at, settings.paused_by, settings.concurrency_max,
       limits.limit_override, limits.opens_at
FROM (
    SELECT waiting.id, name, queue, priority, status, run_at, attempt, attempts_max, waiting.node_id,
           last_error, refused_by, blocked_by, waits_for_jobs, concurrency_key,
           lease.claimed_at,
           NULL::timestamptz AS finished_at
    FROM forge_unfinished_jobs waiting
    LEFT JOIN forge_job_leases lease ON lease.id = waiting.lease_id
    WHERE waiting.id = $1
    UNION ALL
    SELECT id, name, queue, priority, status, NULL, attempt, attempts_max, node_id, last_error, NULL, NULL,
           NULL, NULL, NULL, finished_at
    FROM forge_job_history
    WHERE id = $1
) AS job
LEFT JOIN forge_job_queues settings ON settings.queue = job.queue
LEFT JOIN forge_job_limits limits ON limits.key = job.blocked_by
LEFT JOIN forge_job_dependencies step ON job.waits_for_jobs AND step.waiter_id = job.id AND step.kind = 'step'
      AND step.ended <> 'completed' AND NOT step.broke
