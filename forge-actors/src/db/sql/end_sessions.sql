-- Called by db/database.rs when a node is declared dead: $1 the short form of its id, with which the names of
-- its sessions end, $2 the seconds for which a session must have been silent: a node whose heartbeats come
-- later than the declaring node expects may be alive. Reads the list of sessions; no lock. Whoever has the
-- role of those sessions may end them, or pg_signal_backend.
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'forge % #' || $1
    AND state_change < now() - make_interval(secs => $2)
