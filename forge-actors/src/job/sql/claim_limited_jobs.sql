-- Called by job/store/limited.rs, after sql/lock_limit_keys.sql and sql/count_held_by_key.sql in the same
-- transaction: $1 ids of jobs to claim, $2 which of them begin with the claim, $3 node, $4 seconds of the
-- lease, $5 ids of jobs to block, $6 by which keys, $7 what is spent of rate limits, as JSON: key,
-- bucket_ends, bucket_claims, opens_at; $8 all keys that are locked. Primary keys. Skips rows that others
-- have locked; a row that is held or blocked meanwhile is not changed.
WITH admitted AS (
    SELECT job.id, admitted.begins
    FROM UNNEST($1::uuid[], $2::bool[]) AS admitted (id, begins)
    JOIN forge_jobs job ON job.id = admitted.id
    WHERE job.ready AND job.node_id IS NULL
    FOR UPDATE OF job SKIP LOCKED
), taken AS (
    UPDATE forge_jobs job
    SET status = CASE WHEN admitted.begins THEN 'running'::forge_job_status ELSE 'claimed' END,
        attempt = job.attempt + admitted.begins::int,
        claim = job.claim + 1,
        node_id = $3,
        lease_until = now() + make_interval(secs => $4),
        blocked_by = NULL,
        due_at = NULL
    FROM admitted
    WHERE job.id = admitted.id
    RETURNING job AS row
), over AS (
    SELECT job.id, over.key
    FROM UNNEST($5::uuid[], $6::text[]) AS over (id, key)
    JOIN forge_jobs job ON job.id = over.id
    WHERE job.ready AND job.node_id IS NULL
    FOR UPDATE OF job SKIP LOCKED
), blocked AS (
    UPDATE forge_jobs job
    SET blocked_by = over.key, due_at = job.run_at, run_at = '9999-12-31', ready = false
    FROM over
    WHERE job.id = over.id
), counted AS (
    UPDATE forge_job_limits held
    SET bucket_ends = rate.bucket_ends, bucket_claims = rate.bucket_claims, opens_at = rate.opens_at, used_at = now()
    FROM json_to_recordset($7::json) AS rate (key text, bucket_ends timestamptz[], bucket_claims int4[], opens_at timestamptz)
    WHERE held.key = rate.key
), used AS (
    UPDATE forge_job_limits
    SET used_at = now()
    WHERE key = ANY ($8) AND used_at < now() - interval '1 hour'
      AND key NOT IN (SELECT key FROM json_to_recordset($7::json) AS rate (key text))
)
SELECT (row).id, (row).name, (row).queue, (row).priority, false AS batched, (row).claim,
       (row).status = 'running' AS begun, (row).attempt, (row).attempts_max, (row).args::text AS args,
       (row).identity::text AS identity, (row).trace, (row).last_error, (row).created_at, (row).refused_by,
       extract(epoch FROM now() - (row).run_at)::float8 AS waited,
       (row).concurrency_key, (row).rate_key, (row).timeout_ms
FROM taken
ORDER BY (row).priority DESC, (row).run_at, (row).id
