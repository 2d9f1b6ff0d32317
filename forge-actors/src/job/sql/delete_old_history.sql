-- Called by job/store.rs for the sweeper: $1 seconds of retention, $2 how many at most. Index forge_job_history_finished_at; locks the rows
-- it deletes and skips those that another sweeper deletes.
DELETE FROM forge_job_history
WHERE id IN (
    SELECT id FROM forge_job_history
    WHERE finished_at < now() - make_interval(secs => $1)
    ORDER BY finished_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
