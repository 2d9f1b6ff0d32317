-- Called by job/store.rs for the acknowledger: $1 ids, $2 claims, $3 whether the handler has been started, $4 seconds of the lease.
-- Primary key. Locks the rows it renews; a row whose claim has grown is not touched. A lease that has run out while nobody took over is renewed.
UPDATE forge_jobs job
SET lease_until = now() + make_interval(secs => $4),
    status = CASE WHEN batch.begun THEN 'running'::forge_job_status ELSE job.status END
FROM UNNEST($1::uuid[], $2::int4[], $3::bool[]) AS batch (id, claim, begun)
WHERE job.id = batch.id AND job.claim = batch.claim AND job.status IN ('claimed', 'running')
RETURNING job.id
