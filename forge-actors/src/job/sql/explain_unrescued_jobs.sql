-- Called by job/store for the rescuer, for jobs that it cannot rescue: $1 ids, $2 errors, $3 seconds until
-- the next try. Primary key. Locks the rows that it changes; a row whose lease was renewed, or that another
-- rescuer has changed, stays as it is.
UPDATE forge_jobs job
SET last_error = batch.error,
    lease_until = now() + make_interval(secs => $3)
FROM UNNEST($1::uuid[], $2::text[]) AS batch (id, error)
WHERE job.id = batch.id AND job.node_id IS NOT NULL AND job.lease_until < now()
