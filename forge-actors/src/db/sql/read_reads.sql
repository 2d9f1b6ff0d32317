-- What the transaction has read so far. Runs asks after each run; reads the lock table and the backend's own counters, no relation and so no index.
-- `locked`: the relations that it holds locks on. They include what views, functions and policies name, and go with a savepoint.
-- `scanned`: those of forge.watched that it has scanned, each with a number that only grows, also when a savepoint is rolled back.
SELECT
    (SELECT string_agg(DISTINCT held.relation::text, ',')
     FROM pg_lock_status() AS held
     WHERE held.pid = pg_backend_pid() AND held.locktype = 'relation') AS locked,
    (SELECT string_agg(counted.id || ':' || counted.reads, ',')
     FROM (SELECT watched.id::text AS id,
                  pg_stat_get_xact_numscans(watched.id) + pg_stat_get_xact_tuples_returned(watched.id)
                  + pg_stat_get_xact_tuples_fetched(watched.id) AS reads
           FROM unnest(current_setting('forge.watched')::oid[]) AS watched (id)) AS counted
     WHERE counted.reads > 0) AS scanned
