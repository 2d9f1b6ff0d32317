-- Called by cron/days.rs for forge.cronDays: $1 crons, $2 how many runs of each are counted, the newest ones,
-- $3 start of the day, $4 seconds of a slot, $5 seconds after which a run is late. Missed times of one row
-- are spread evenly over its slots. Reads at most $2 rows of each cron by the primary key of
-- forge_cron_runs, and one more for known_from: times up to that one are not counted. No lock.
SELECT cron.id, uncounted.scheduled_at AS known_from, counted.*
FROM forge_crons cron
LEFT JOIN LATERAL (
    SELECT scheduled_at FROM forge_cron_runs
    WHERE cron_id = cron.id
    ORDER BY scheduled_at DESC OFFSET $2 LIMIT 1
) AS uncounted ON true
LEFT JOIN LATERAL (
    SELECT slot,
           coalesce(sum(share) FILTER (WHERE status = 'completed' AND NOT is_late), 0) AS completed,
           coalesce(sum(share) FILTER (WHERE status = 'completed' AND is_late), 0) AS late,
           coalesce(sum(share) FILTER (WHERE status IN ('failed', 'dead_letter', 'cancelled')), 0) AS failed,
           coalesce(sum(share) FILTER (WHERE reason = 'missed'), 0) AS missed,
           coalesce(sum(share) FILTER (WHERE reason IN ('overlap', 'queue_full')), 0) AS overlapped,
           coalesce(sum(share) FILTER (WHERE status IN ('waiting', 'dispatched')), 0) AS unfinished,
           coalesce(sum(share) FILTER (WHERE status = 'unknown'), 0) AS unknown
    FROM (
        SELECT status, reason, times,
               coalesce(started_at, finished_at) - scheduled_at
                   > make_interval(secs => cron.jitter_ms / 1000.0 + $5) AS is_late,
               floor(extract(epoch FROM scheduled_at - $3) / $4)::int4 AS first,
               floor(extract(epoch FROM last_at - $3) / $4)::int4 AS last
        FROM forge_cron_runs
        WHERE cron_id = cron.id
        ORDER BY scheduled_at DESC
        LIMIT $2
    ) AS run,
    generate_series(greatest(first, 0), last) AS slot,
    LATERAL (
        SELECT times / (last - first + 1) + (slot - first < times % (last - first + 1))::int4 AS share
    ) AS part
    WHERE last >= 0 AND share > 0
    GROUP BY slot
) AS counted ON true
WHERE cron.id = ANY($1)
ORDER BY cron.id, counted.slot
