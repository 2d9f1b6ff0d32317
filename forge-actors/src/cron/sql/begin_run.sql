-- Called by cron/begin.rs when an attempt at a run's job begins: $1 cron, $2 scheduled time. Primary key of
-- forge_cron_runs; locks the row at the first attempt. The time is returned also when the run has no row, as
-- in the test of an application.
WITH begun AS (
    UPDATE forge_cron_runs SET started_at = now()
    WHERE cron_id = $1 AND scheduled_at = $2 AND started_at IS NULL
)
SELECT now()
