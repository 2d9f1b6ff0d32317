-- Called by db/connections.rs when a node starts, and by `doctor`. Reads settings, catalogs and the list of
-- sessions; no lock. The name of a session ends with its pool and the id of its node; those of commands are
-- not of a node.
SELECT least(
           current_setting('max_connections')::int4
               - current_setting('superuser_reserved_connections')::int4
               - coalesce(current_setting('reserved_connections', true)::int4, 0),
           (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
           (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
       ) AS granted,
       (SELECT count(DISTINCT regexp_replace(
                   application_name, ' (write|read|live|locks|control)( #[0-9a-f]+)?$', '\2'))
        FROM pg_stat_activity
        WHERE application_name ~ '^forge .+ (write|read|live|locks|control)( #[0-9a-f]+)?$'
        AND application_name NOT LIKE 'forge doctor %'
        AND application_name NOT LIKE 'forge command line %') AS nodes
