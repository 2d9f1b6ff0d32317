-- Called by cluster/store.rs, for a node that could not read the arguments of a job: $1 role. Reads the whole
-- table, which is small; no lock.
SELECT DISTINCT build FROM forge_nodes WHERE state <> 'dead' AND $1 = ANY (roles)
