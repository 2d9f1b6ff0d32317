-- Called by cluster/store.rs for forge.queues and forge.whyJob: $1 role. Reads the whole table, which is
-- small; no lock.
SELECT id, name, job_names, capabilities, resources
FROM forge_nodes
WHERE state IN ('joining', 'active') AND $1 = ANY (roles)
ORDER BY name, id
