-- Called by job/store for the duty history_expiry of the leader of `jobs`: $1 rows at most. Reads the whole
-- table, which has a row for each key that was claimed from within a day; skips rows that claims have locked.
DELETE FROM forge_job_limits
WHERE key IN (
    SELECT key FROM forge_job_limits
    WHERE used_at < now() - interval '1 day' AND set_max IS NULL AND next_at IS NULL
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
