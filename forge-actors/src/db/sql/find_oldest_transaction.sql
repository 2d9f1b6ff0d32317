-- Called by db/database.rs, for the monitor. Reads the lists of sessions and of prepared transactions; takes
-- no lock. Sessions of other roles are seen by members of pg_read_all_stats alone. A transaction without a
-- snapshot and without an id keeps no row version from vacuum.
SELECT pid, name, seconds FROM (
    SELECT pid, coalesce(application_name, '') AS name,
        extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
    UNION ALL
    SELECT 0, 'prepared transaction ' || gid, extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts WHERE database = current_database()
) AS transactions
WHERE seconds IS NOT NULL
ORDER BY seconds DESC
LIMIT 1
