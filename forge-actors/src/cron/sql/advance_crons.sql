-- Called by cron/store.rs for the scheduler, which holds the rows: $1 crons, $2 their next times, $3 why
-- there is none. Primary key.
UPDATE forge_crons cron SET next_at = ahead.next_at, problem = ahead.problem
FROM UNNEST($1::uuid[], $2::timestamptz[], $3::text[]) AS ahead (id, next_at, problem)
WHERE cron.id = ahead.id
