-- Called by job/store for the acknowledger and the rescuer, for a job whose results or whose rescue the
-- database refuses: $1 batch lease, $2 error, $3 seconds until the lease runs out. Primary key. Locks the
-- row of the lease, not against statements that finish its jobs. The error is shown for every job that the
-- lease still holds.
UPDATE forge_job_leases
SET error = $2,
    lease_until = now() + make_interval(secs => $3)
WHERE id = $1
RETURNING id
