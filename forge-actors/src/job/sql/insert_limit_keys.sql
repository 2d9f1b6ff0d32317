-- Called by job/store/limited.rs before sql/lock_limit_keys.sql, for keys without a row: $1 keys. Waits for
-- transactions that insert the same keys, in the order of the keys.
INSERT INTO forge_job_limits (key)
SELECT key FROM UNNEST($1::text[]) AS limited (key)
ORDER BY key
ON CONFLICT (key) DO NOTHING
