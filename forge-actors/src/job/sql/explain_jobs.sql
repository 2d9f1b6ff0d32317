-- Called by job/store for the acknowledger, for jobs whose results the database refuses: $1 ids, $2 claims,
-- $3 errors, $4 seconds until the lease runs out. Primary key. Locks the rows that it changes; a row whose
-- claim has grown is not changed. The status stays, since a change of it was refused.
UPDATE forge_jobs job
SET last_error = batch.error,
    lease_until = now() + make_interval(secs => batch.delay)
FROM UNNEST($1::uuid[], $2::int4[], $3::text[], $4::float8[]) AS batch (id, claim, error, delay)
WHERE job.id = batch.id AND job.claim = batch.claim AND job.status IN ('claimed', 'running')
RETURNING job.id
