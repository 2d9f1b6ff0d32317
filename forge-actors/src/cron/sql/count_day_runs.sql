-- Called by cron/days.rs for forge.cronDays: $1 crons, $2 how many runs of each are counted, the newest ones,
-- $3 start of the day in seconds since the epoch, $4 seconds of a slot, $5 seconds after which a run is late.
-- A row of missed times may begin before the day, and end in another slot than it begins. Reads at most $2
-- rows of each cron by the primary key of forge_cron_runs, and one more for known_from: times up to that
-- one are not counted. No lock.
SELECT cron.id, uncounted.scheduled_at AS known_from, counted.*
FROM forge_crons cron
LEFT JOIN LATERAL (
    SELECT scheduled_at FROM forge_cron_runs
    WHERE cron_id = cron.id
    ORDER BY scheduled_at DESC OFFSET $2 LIMIT 1
) AS uncounted ON true
LEFT JOIN LATERAL (
    SELECT first_slot, last_slot, outcome, sum(times) AS times
    FROM (
        SELECT times,
               floor((extract(epoch FROM scheduled_at)::float8 - $3) / $4)::int4 AS first_slot,
               floor((extract(epoch FROM last_at)::float8 - $3) / $4)::int4 AS last_slot,
               CASE
                   WHEN status <> 'completed' THEN coalesce(reason::text, status::text)
                   WHEN coalesce(started_at, finished_at) - scheduled_at
                       > make_interval(secs => cron.jitter_ms / 1000.0 + $5) THEN 'late'
                   ELSE 'completed'
               END AS outcome
        FROM forge_cron_runs
        WHERE cron_id = cron.id
        ORDER BY scheduled_at DESC
        LIMIT $2
    ) AS run
    WHERE last_slot >= 0
    GROUP BY first_slot, last_slot, outcome
) AS counted ON true
WHERE cron.id = ANY($1)
ORDER BY cron.id
