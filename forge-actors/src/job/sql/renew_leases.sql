-- Called by job/store for the acknowledger: $1 ids, $2 claims, $3 seconds of the lease. Primary key. Locks
-- the rows that it renews; a row whose claim has grown is not changed. A lease that has run out while no
-- other node took the job over is renewed.
UPDATE forge_jobs job
SET lease_until = now() + make_interval(secs => $3)
FROM UNNEST($1::uuid[], $2::int4[]) AS batch (id, claim)
WHERE job.id = batch.id AND job.claim = batch.claim AND job.status IN ('claimed', 'running')
RETURNING job.id
