-- Called by job/admin/why.rs for forge.whyJob, for a job that is due: $1 queue, $2 priority, $3 when it was
-- due, $4 id, $5 how many are counted. Reads so many entries of the index forge_jobs_claimable, in which the
-- jobs that are claimed first stand before it; no lock.
SELECT count(*)
FROM (
    (
        SELECT FROM forge_jobs
        WHERE queue = $1 AND priority > $2 AND ready AND node_id IS NULL
        LIMIT $5
    )
    UNION ALL
    (
        SELECT FROM forge_jobs
        WHERE queue = $1 AND priority = $2 AND (run_at, id) < ($3, $4) AND ready AND node_id IS NULL
        LIMIT $5
    )
    LIMIT $5
) AS before
