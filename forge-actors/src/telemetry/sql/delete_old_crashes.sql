-- Called by telemetry/store.rs, hourly. Index forge_crashes_at; locks the rows that it deletes, at most $2.
DELETE FROM forge_crashes
WHERE id IN (SELECT id FROM forge_crashes WHERE at < now() - make_interval(secs => $1) ORDER BY at LIMIT $2)
