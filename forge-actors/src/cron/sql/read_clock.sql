-- Called by cron/store.rs: when the transaction began.
SELECT now()
