-- Called by job/store/limited.rs, after sql/lock_limit_keys.sql, sql/lock_candidates.sql and
-- sql/count_held_by_key.sql in the same transaction: $1 jobs to hold, $2 which of them begin now, $3 node, $4
-- seconds of the lease, $5 jobs to block, $6 the key that blocks each, $7 buckets of keys of rate limits, as
-- JSON (key, bucket_ends, bucket_claims, opens_at), $8 all locked keys, $9 how many further jobs to block:
-- those that are ready with a key of $6, so that a burst of one key does not pass through the claims a few at
-- a time. Primary key, and the indexes forge_jobs_concurrency and forge_jobs_rate. A row that is locked or
-- held is not changed. Returns the columns of sql/claim_jobs.sql in the same order.
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
), further AS (
    SELECT id, CASE WHEN concurrency_key = ANY ($6) THEN concurrency_key ELSE rate_key END AS key
    FROM forge_jobs
    WHERE cardinality($6::text[]) > 0 AND ready AND node_id IS NULL
      AND (concurrency_key = ANY ($6) OR rate_key = ANY ($6))
      AND NOT id = ANY ($1) AND NOT id = ANY ($5)
    LIMIT $9
    FOR UPDATE SKIP LOCKED
), blocked AS (
    UPDATE forge_jobs job
    SET blocked_by = over.key, due_at = job.run_at, run_at = '9999-12-31', ready = false
    FROM (SELECT id, key FROM over UNION ALL SELECT id, key FROM further) AS over
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
       (row).concurrency_key, (row).rate_key, (row).timeout_ms, (row).followed, (row).awaited
FROM taken
ORDER BY (row).priority DESC, (row).run_at, (row).id
