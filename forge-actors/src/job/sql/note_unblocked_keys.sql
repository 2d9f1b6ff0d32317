-- Called by job/store/unblock.rs after sql/unblock_jobs.sql in the same transaction, which holds the locks of
-- the rows: $1 keys, $2 the tenants whose jobs were unblocked last, $3 whether the key is one of a rate
-- limit: its opens_at is set again by the next claim that blocks a job. Primary key.
UPDATE forge_job_limits held
SET last_tenant = unblocked.tenant,
    opens_at = CASE WHEN unblocked.is_rate THEN NULL ELSE held.opens_at END
FROM UNNEST($1::text[], $2::text[], $3::bool[]) AS unblocked (key, tenant, is_rate)
WHERE held.key = unblocked.key
