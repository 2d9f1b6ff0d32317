-- Called by job/store for the claimer, before the handlers start: $1 ids, $2 claims, $3 seconds of the lease.
-- Primary key. Locks the rows that it begins; a row whose claim has grown is not changed. A begin that is
-- repeated, because its answer got lost, counts no second attempt.
UPDATE forge_jobs job
SET status = 'running',
    attempt = job.attempt + (job.status = 'claimed')::int,
    lease_until = now() + make_interval(secs => $3)
FROM UNNEST($1::uuid[], $2::int4[]) AS batch (id, claim)
WHERE job.id = batch.id AND job.claim = batch.claim AND job.status IN ('claimed', 'running')
RETURNING job.id, job.attempt, extract(epoch FROM now() - job.run_at)::float8 AS waited
