-- Called by job/store for the duty history_expiry: $1 seconds of retention, $2 how many rows at most. Index
-- forge_job_history_finished_at; reads all of forge_job_leases. Locks the rows that it deletes, and skips
-- rows that another node deletes. A row that may say of a job in a batch lease that it has ended is kept
-- for as long as the lease: without it a rescue would have the job run again.
DELETE FROM forge_job_history
WHERE id IN (
    SELECT id FROM forge_job_history
    WHERE finished_at < least(
        now() - make_interval(secs => $1),
        (SELECT min(claimed_at) FROM forge_job_leases)
    )
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
