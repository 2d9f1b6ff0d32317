-- Called by cron/store.rs for the scheduler when a term begins, and every few minutes: $1 names of handlers
-- with aliases, $2 their queues, $3 priorities, $4 attempts, $5 the present names of the handlers with a
-- schedule of their own. Reads all of forge_crons; locks the rows that it changes. A schedule of the code
-- whose handler is there without a schedule is absent too.
UPDATE forge_crons cron
SET is_absent = known.is_absent,
    queue = coalesce(known.queue, cron.queue),
    priority = coalesce(known.priority, cron.priority),
    attempts_max = coalesce(known.attempts_max, cron.attempts_max)
FROM (
    SELECT stored.id, handler.queue, handler.priority, handler.attempts_max,
           handler.name IS NULL OR (stored.source = 'code' AND stored.name <> ALL ($5)) AS is_absent
    FROM forge_crons stored
    LEFT JOIN UNNEST($1::text[], $2::text[], $3::int2[], $4::int4[])
        AS handler (name, queue, priority, attempts_max) ON handler.name = stored.handler
) AS known
WHERE known.id = cron.id
  AND (cron.is_absent, cron.queue, cron.priority, cron.attempts_max) IS DISTINCT FROM (
      known.is_absent, coalesce(known.queue, cron.queue), coalesce(known.priority, cron.priority),
      coalesce(known.attempts_max, cron.attempts_max)
  )
RETURNING cron.name, cron.handler, cron.is_absent
