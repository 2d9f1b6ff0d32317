-- Called by cron/store.rs for the scheduler when a term begins: $1 ids for new rows, $2 names, $3
-- expressions, $4 time zones, $5 overlaps, $6 how many catch up, $7 jitters, $8 the next times from now on,
-- of which a schedule that stayed the same keeps its own; $9 queues, $10 priorities, $11 attempts. Index
-- forge_crons_name. Locks the rows that it changes.
INSERT INTO forge_crons AS cron (
    id, name, source, handler, expression, timezone, overlap, catch_up, jitter_ms, next_at, queue, priority,
    attempts_max
)
SELECT id, name, 'code', name, expression, timezone, overlap::forge_cron_overlap, catch_up, jitter_ms,
       next_at, queue, priority, attempts_max
FROM UNNEST(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int4[], $7::int8[], $8::timestamptz[],
    $9::text[], $10::int2[], $11::int4[]
) AS code (
    id, name, expression, timezone, overlap, catch_up, jitter_ms, next_at, queue, priority, attempts_max
)
ON CONFLICT (source, coalesce(tenant, ''), name) DO UPDATE
SET expression = EXCLUDED.expression,
    timezone = EXCLUDED.timezone,
    overlap = EXCLUDED.overlap,
    catch_up = EXCLUDED.catch_up,
    jitter_ms = EXCLUDED.jitter_ms,
    next_at = CASE
        WHEN (cron.expression, cron.timezone) = (EXCLUDED.expression, EXCLUDED.timezone)
            AND cron.next_at IS NOT NULL THEN cron.next_at
        ELSE EXCLUDED.next_at
    END,
    problem = NULL
