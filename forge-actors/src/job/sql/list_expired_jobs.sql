-- Called by job/store for the rescuer, when the database refused to rescue all expired jobs together: $1
-- how many at most. Reads the whole index forge_jobs_held, which holds the claimed and running jobs; no lock.
SELECT id FROM forge_jobs
WHERE node_id IS NOT NULL AND lease_until < now()
LIMIT $1
