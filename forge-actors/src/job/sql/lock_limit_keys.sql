-- Called by job/store/limited.rs for a claim and by job/store/unblock.rs: $1 keys. Primary key. Locks the
-- rows in the order of their keys until the transaction ends, so that claims of one key take turns.
SELECT key, bucket_ends, bucket_claims, limit_override, last_tenant
FROM forge_job_limits
WHERE key = ANY ($1)
ORDER BY key
FOR UPDATE
