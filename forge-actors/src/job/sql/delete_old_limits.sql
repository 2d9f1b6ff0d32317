-- Called by job/store for the duty history_expiry of the leader of `jobs`: $1 rows at most. Reads the whole
-- table: keys that were claimed from within a day, and those that an operator has limited; skips rows that
-- claims have locked.
DELETE FROM forge_job_limits
WHERE key IN (
    SELECT key FROM forge_job_limits
    WHERE used_at < now() - interval '1 day' AND limit_override IS NULL
      AND coalesce(opens_at < now() - interval '1 day', true)
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
