-- Called by cron/admin.rs for forge.cron: $1 cron, $2 limit, $3 seconds after which a run is late. Primary key
-- of forge_cron_runs, backwards; no lock.
SELECT run.cron_id, run.scheduled_at, run.status::text AS status, run.reason::text AS reason, run.times,
       run.last_at, run.catch_up AS is_catch_up, run.requested_by, run.job_id, run.started_at, run.finished_at,
       coalesce(run.started_at, run.finished_at, now()) - run.scheduled_at
           > make_interval(secs => cron.jitter_ms / 1000.0 + $3) AND run.status <> 'skipped' AS is_late
FROM forge_cron_runs run
JOIN forge_crons cron ON cron.id = run.cron_id
WHERE run.cron_id = $1
ORDER BY run.scheduled_at DESC
LIMIT $2
