-- Called by cron/manage.rs, in the transaction of the creating call: $1 id, $2 name, $3 tenant, $4 handler,
-- $5 arguments, $6 identity, $7 expression, $8 time zone, $9 overlap, $10 how many catch up, $11 jitter, $12
-- queue, $13 priority, $14 attempts, $15 next time, $16 whether it replaces one of that name. Index
-- forge_crons_name. No row: the name is taken, and it was not to be replaced. A replaced one keeps its id,
-- its runs and its pause.
INSERT INTO forge_crons AS cron (
    id, name, tenant, source, handler, args, identity, expression, timezone, overlap, catch_up, jitter_ms,
    queue, priority, attempts_max, next_at
)
VALUES (
    $1, $2, $3, 'application', $4, $5::json, $6::json, $7, $8, $9::forge_cron_overlap, $10, $11,
    $12, $13, $14, $15
)
ON CONFLICT (source, coalesce(tenant, ''), name) DO UPDATE
SET handler = EXCLUDED.handler,
    args = EXCLUDED.args,
    identity = EXCLUDED.identity,
    expression = EXCLUDED.expression,
    timezone = EXCLUDED.timezone,
    overlap = EXCLUDED.overlap,
    catch_up = EXCLUDED.catch_up,
    jitter_ms = EXCLUDED.jitter_ms,
    queue = EXCLUDED.queue,
    priority = EXCLUDED.priority,
    attempts_max = EXCLUDED.attempts_max,
    next_at = EXCLUDED.next_at,
    is_absent = false,
    problem = NULL
WHERE $16
RETURNING id
