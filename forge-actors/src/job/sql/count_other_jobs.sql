-- Called by job/admin/queues.rs for forge.queues: $1 how many scheduled and how many blocked jobs are
-- counted, over all queues. Reads so many rows by the indexes forge_jobs_scheduled, forge_jobs_blocked and
-- forge_jobs_waiting, the whole index forge_jobs_held and all batch leases; no lock. 30 ms for 5,000 each.
SELECT part, queue, count(*) AS jobs
FROM (
    (
        SELECT 'scheduled' AS part, queue FROM forge_jobs
        WHERE NOT ready AND blocked_by IS NULL AND run_at < '9999-12-31'
        ORDER BY run_at
        LIMIT $1
    )
    UNION ALL
    (
        SELECT 'blocked', queue FROM forge_jobs
        WHERE blocked_by IS NOT NULL
        ORDER BY blocked_by
        LIMIT $1
    )
    UNION ALL
    (
        SELECT 'blocked', queue FROM forge_jobs
        WHERE waits_for_jobs
        ORDER BY id
        LIMIT $1
    )
    UNION ALL
    SELECT 'held', queue FROM forge_jobs WHERE node_id IS NOT NULL
    UNION ALL
    SELECT 'held', queue FROM forge_unfinished_jobs WHERE lease_id IS NOT NULL
) AS job
GROUP BY part, queue
