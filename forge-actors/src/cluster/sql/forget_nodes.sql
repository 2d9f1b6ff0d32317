-- Called by cluster/store.rs, hourly. Reads the whole table, which is small; locks the rows that it deletes.
DELETE FROM forge_nodes WHERE state = 'dead' AND ended_at < now() - make_interval(secs => $1)
