-- Called by cron/admin.rs and cron/manage.rs: $1 cron, $2 who pauses it. Primary key; locks the row. No row:
-- there is no such cron, or it is paused already.
UPDATE forge_crons SET paused_at = now(), paused_by = $2 WHERE id = $1 AND paused_at IS NULL RETURNING id
