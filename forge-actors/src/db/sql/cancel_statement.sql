-- Called by db/transaction.rs for a statement that is given up: $1 pid. Reads the list of sessions, so that a
-- session that has ended meanwhile is no warning in the log; no lock.
SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $1
