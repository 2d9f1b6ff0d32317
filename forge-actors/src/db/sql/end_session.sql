-- Called by db/database.rs for a session that was discarded while a statement ran: $1 pid. Reads the list of
-- sessions, so that a session that has ended meanwhile is no warning in the log; no lock.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1
