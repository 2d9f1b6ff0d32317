-- Called by job/store/limited.rs after sql/lock_limit_keys.sql in the same transaction, for keys of rate
-- limits: the clock would be read before the wait for the locks there.
SELECT clock_timestamp()
