-- Called by telemetry/store.rs for one node or for all. Reads forge_crashes backwards by forge_crashes_at;
-- no lock.
SELECT node_id, path, kind, cause, message, backtrace, restarts, occurrences, at
FROM forge_crashes
WHERE $2::uuid IS NULL OR node_id = $2
ORDER BY at DESC
LIMIT $1
