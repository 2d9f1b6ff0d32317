-- Called by job/store for the counter, once a minute on every node with the role `worker`. Statistics of the
-- server, as old as its last flush of them; no lock.
SELECT relname::text AS name, n_live_tup AS live, n_dead_tup AS dead,
       pg_table_size(relid) AS row_bytes, pg_indexes_size(relid) AS index_bytes
FROM pg_stat_user_tables
WHERE relid IN (
    'forge_jobs'::regclass, 'forge_job_leases'::regclass, 'forge_job_history'::regclass,
    'forge_job_dependencies'::regclass
)
