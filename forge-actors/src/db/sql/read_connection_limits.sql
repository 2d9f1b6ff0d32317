-- Called by db/connections.rs when a node starts, and by `doctor`. Reads settings, catalogs and the list of
-- sessions; no lock. The name of a session ends with its pool and the id of its node; those of commands are
-- not of a node. A row for each limit that there is, with the nodes that share it.
WITH node AS (
    SELECT regexp_replace(application_name, ' (write|read|live|locks|jobs|control)( #[0-9a-f]+)?$', '\2') AS name,
           usename, datname
    FROM pg_stat_activity
    WHERE application_name ~ '^forge .+ (write|read|live|locks|jobs|control)( #[0-9a-f]+)?$'
    AND application_name NOT LIKE 'forge doctor %'
    AND application_name NOT LIKE 'forge command line %'
)
SELECT 'server' AS scope,
       current_setting('max_connections')::int4
           - current_setting('superuser_reserved_connections')::int4
           - coalesce(current_setting('reserved_connections', true)::int4, 0) AS granted,
       (SELECT count(DISTINCT name) FROM node) AS nodes
UNION ALL
SELECT 'role', rolconnlimit, (SELECT count(DISTINCT name) FROM node WHERE usename = rolname)
FROM pg_roles
WHERE rolname = current_user AND rolconnlimit >= 0
UNION ALL
SELECT 'database', datconnlimit, (SELECT count(DISTINCT name) FROM node WHERE node.datname = pg_database.datname)
FROM pg_database
WHERE datname = current_database() AND datconnlimit >= 0
