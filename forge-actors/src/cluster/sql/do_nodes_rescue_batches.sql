-- Called by cluster/store.rs for the duty counter of the jobs: $1 role. Reads the whole table, which is
-- small; no lock.
SELECT coalesce(bool_and(leases_batches), true) FROM forge_nodes WHERE state <> 'dead' AND $1 = ANY (roles)
