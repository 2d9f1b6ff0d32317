-- Called by cron/store.rs for the scheduler, every `crons.poll_interval`: $1 names of handlers. Indexes
-- forge_crons_due and forge_cron_runs_open; no lock. The seconds until the next time, null without one, and
-- whether a run waits or is under way.
SELECT (
           SELECT extract(epoch FROM min(next_at) - now())::float8 FROM forge_crons
           WHERE paused_at IS NULL AND NOT is_absent AND handler = ANY ($1)
       ) AS next_due,
       EXISTS (SELECT FROM forge_cron_runs WHERE status IN ('waiting', 'dispatched')) AS has_open
