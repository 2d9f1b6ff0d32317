-- Called by job/store for the duty history_expiry: $1 seconds of retention, $2 how many rows at most.
-- Index forge_job_history_finished_at. Locks the rows that it deletes, and skips rows that another node deletes.
DELETE FROM forge_job_history
WHERE id IN (
    SELECT id FROM forge_job_history
    WHERE finished_at < now() - make_interval(secs => $1)
    ORDER BY finished_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
