-- Lists the relations of this database that a transaction has locked against readers. Called by the reactor
-- when a query has waited for a lock in vain. Reads the lock table, takes no lock on a relation.
SELECT DISTINCT locks.relation::int8
FROM pg_locks AS locks
WHERE locks.locktype = 'relation' AND locks.mode = 'AccessExclusiveLock' AND locks.granted
    AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
