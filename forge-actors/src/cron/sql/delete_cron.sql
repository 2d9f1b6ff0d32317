-- Called by cron/manage.rs: $1 cron. Primary key; locks the row and deletes its runs. Jobs that were
-- dispatched for it stay.
DELETE FROM forge_crons WHERE id = $1
