-- Called by cron/store.rs for the scheduler, as the last statement of its transaction: $1 names of handlers.
-- The seconds until the next time from this moment, null without one. Index forge_crons_due; no lock.
SELECT extract(epoch FROM min(next_at) - clock_timestamp())::float8
FROM forge_crons
WHERE paused_at IS NULL AND NOT is_absent AND handler = ANY ($1)
