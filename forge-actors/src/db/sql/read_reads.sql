-- Called by db/runs.rs after each run: the relations that the transaction has read so far. Reads the lock
-- table and the backend's own counters; no index, no lock on a relation.
-- `locked`: the relations that the transaction has locks on, with those that views, functions and policies
-- name. Rolling back to a savepoint releases the locks taken after it.
-- `scanned`: the relations of forge.watched that were scanned, each with a count that only grows, also when a
-- savepoint is rolled back.
SELECT
    (SELECT string_agg(DISTINCT locks.relation::text, ',')
     FROM pg_lock_status() AS locks
     WHERE locks.pid = pg_backend_pid() AND locks.locktype = 'relation') AS locked,
    (SELECT string_agg(counted.id || ':' || counted.reads, ',')
     FROM (SELECT watched.id::text AS id,
                  pg_stat_get_xact_numscans(watched.id) + pg_stat_get_xact_tuples_returned(watched.id)
                  + pg_stat_get_xact_tuples_fetched(watched.id) AS reads
           FROM unnest(current_setting('forge.watched')::oid[]) AS watched (id)) AS counted
     WHERE counted.reads > 0) AS scanned
