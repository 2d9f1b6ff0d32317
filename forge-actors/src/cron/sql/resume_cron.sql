-- Called by cron/admin.rs and cron/manage.rs: $1 cron, $2 its next time. Primary key; locks the row. The
-- times of the pause are not made up for. No row: there is no such cron, or it is not paused.
UPDATE forge_crons
SET paused_at = NULL, paused_by = NULL, next_at = $2, problem = NULL
WHERE id = $1 AND paused_at IS NOT NULL
RETURNING id
