-- Called by cron/admin.rs for forge.crons, and by cron/manage.rs: $1 handler, $2 tenant (each may be null),
-- $3 limit, $4 whether only those that the application created for exactly this tenant, $5 state, which may
-- be null, $6 whether only those whose newest run failed, $7 text in one of the columns, which may be null,
-- $8 seconds after which a run is late. Reads all of forge_crons, and the last run of each by the primary
-- key of forge_cron_runs; no lock.
SELECT cron.id, cron.name, cron.tenant, cron.source::text AS source, cron.handler, cron.expression,
       cron.timezone, cron.overlap::text AS overlap, cron.catch_up, cron.jitter_ms, cron.queue, cron.next_at,
       cron.paused_at, cron.paused_by, cron.is_absent, cron.problem, cron.created_at, now() AS now,
       run.cron_id, run.scheduled_at, run.status::text AS status, run.reason::text AS reason, run.times,
       run.last_at, run.catch_up AS is_catch_up, run.requested_by, run.job_id, run.started_at, run.finished_at,
       coalesce(run.started_at, run.finished_at, now()) - run.scheduled_at
           > make_interval(secs => cron.jitter_ms / 1000.0 + $8) AND run.status <> 'skipped' AS is_late
FROM forge_crons cron
LEFT JOIN LATERAL (
    SELECT * FROM forge_cron_runs run WHERE run.cron_id = cron.id ORDER BY run.scheduled_at DESC LIMIT 1
) AS run ON true
WHERE ($1::text IS NULL OR cron.handler = $1) AND ($2::text IS NULL OR cron.tenant = $2)
  AND (NOT $4 OR (cron.source = 'application' AND cron.tenant IS NOT DISTINCT FROM $2))
  AND ($5::text IS NULL OR $5 = CASE
      WHEN cron.is_absent THEN 'no_handler'
      WHEN cron.paused_at IS NOT NULL THEN 'paused'
      WHEN cron.problem IS NOT NULL THEN 'broken'
      ELSE 'active'
  END)
  AND (NOT $6 OR run.status IN ('failed', 'dead_letter', 'cancelled'))
  AND ($7::text IS NULL OR position(lower($7) IN lower(
      concat_ws(' ', cron.name, cron.handler, cron.tenant, cron.queue, cron.expression, cron.timezone)
  )) > 0)
ORDER BY cron.name, cron.tenant NULLS FIRST
LIMIT $3
