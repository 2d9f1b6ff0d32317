-- Called by job/store/unblock.rs after sql/lock_limit_keys.sql in the same transaction: $1 keys of
-- concurrency limits. Index forge_jobs_concurrency, of which it reads what is held and what may be claimed,
-- 10,000 entries of a key at most; no lock.
SELECT key, open.count
FROM UNNEST($1::text[]) AS limited (key)
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM forge_jobs WHERE concurrency_key = key AND ready LIMIT 10000
    ) AS counted
) AS open
