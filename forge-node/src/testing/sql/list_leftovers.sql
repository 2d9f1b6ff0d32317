-- Called by testing/server.rs when the first test of a process begins. Reads the catalog of databases and the
-- table of sessions; no lock. A run has a session of its application_name for as long as it lives, and takes
-- it before it makes a database.
SELECT datname::text
FROM pg_database
WHERE datname LIKE 'forge\_test\_%'
  AND NOT EXISTS (
      SELECT FROM pg_stat_activity session
      WHERE session.datname = pg_database.datname
         OR session.application_name LIKE 'forge test\_' || split_part(pg_database.datname, '_', 3) || ' %'
  )
