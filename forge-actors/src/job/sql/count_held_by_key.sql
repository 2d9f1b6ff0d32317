-- Called by job/store/limited.rs for a claim, after sql/lock_limit_keys.sql in the same transaction, and by
-- job/admin/why.rs: $1 keys of concurrency limits. Index forge_jobs_concurrency, of which it reads the held
-- rows of the keys; no lock.
SELECT concurrency_key AS key, count(*) AS held
FROM forge_jobs
WHERE concurrency_key = ANY ($1) AND ready AND (node_id IS NOT NULL)
GROUP BY concurrency_key
