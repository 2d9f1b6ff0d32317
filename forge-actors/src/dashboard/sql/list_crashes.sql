-- Called by dashboard/crashes.rs. Index forge_crashes_at; no lock.
SELECT node_id, path, kind, cause, message, backtrace, restarts, occurrences, at
FROM forge_crashes
ORDER BY at DESC
LIMIT $1
