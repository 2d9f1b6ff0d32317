-- Called by telemetry/store.rs for one actor of one node. Reads forge_crashes backwards by
-- forge_crashes_at; no lock.
SELECT node_id, path, kind, cause, message, backtrace, restarts, occurrences, at
FROM forge_crashes WHERE node_id = $1 AND path = $2 ORDER BY at DESC, id DESC LIMIT $3
