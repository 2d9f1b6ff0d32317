-- Called by job/store/unblock.rs after sql/lock_limit_keys.sql in the same transaction: $1 keys of
-- concurrency limits, $2 names of the handlers that this node can run. Index forge_jobs_concurrency, of which
-- it reads what is held and what this node may claim, up to 10,000 entries of a key, which is the largest
-- limit; no lock.
SELECT key, ready.count
FROM UNNEST($1::text[]) AS wanted (key)
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM forge_jobs
        WHERE concurrency_key = key AND ready AND (node_id IS NOT NULL OR name = ANY ($2))
        LIMIT 10000
    ) AS counted
) AS ready
