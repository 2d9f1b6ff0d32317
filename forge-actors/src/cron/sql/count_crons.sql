-- Called by cron/store.rs for the scheduler, when it has marked the absent ones. Reads all of forge_crons; no
-- lock.
SELECT count(*) FILTER (WHERE is_absent) AS absent,
       count(*) FILTER (WHERE NOT is_absent AND paused_at IS NOT NULL) AS paused,
       count(*) FILTER (WHERE NOT is_absent AND paused_at IS NULL AND next_at IS NULL) AS broken,
       count(*) FILTER (WHERE NOT is_absent AND paused_at IS NULL AND next_at IS NOT NULL) AS active
FROM forge_crons
