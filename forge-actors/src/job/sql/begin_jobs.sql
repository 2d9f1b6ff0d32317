-- Called by job/store.rs for the claimer, before the handlers start: $1 ids, $2 claims, $3 seconds of the lease. Primary key. Locks the rows it
-- begins; a row whose claim has grown is not touched. A claim begins once: said again, because its answer got lost, it counts nothing more.
-- Free workers wait for it, so it waits for no disk while every job is claimed for the first time. A begin then outlives its node, but not
-- always a crash of Postgres less than a second later; whoever ends the attempt writes its number once more, and the next begin is waited for.
UPDATE forge_jobs job
SET status = 'running', attempt = job.attempt + (job.status = 'claimed')::int, lease_until = now() + make_interval(secs => $3)
FROM UNNEST($1::uuid[], $2::int4[]) AS batch (id, claim)
WHERE job.id = batch.id AND job.claim = batch.claim AND job.status IN ('claimed', 'running')
  AND (SELECT set_config('synchronous_commit', CASE WHEN max(claim) > 1 THEN current_setting('synchronous_commit') ELSE 'off' END, true)
       FROM UNNEST($2::int4[]) AS claims (claim)) IS NOT NULL
RETURNING job.id, job.attempt, extract(epoch FROM now() - job.run_at)::float8 AS waited
