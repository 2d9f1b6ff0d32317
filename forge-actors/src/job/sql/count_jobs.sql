-- Called by job/admin/totals.rs for forge.jobTotals and forge.overview: $1 how many jobs are counted of each
-- part, and of each status in which jobs end. Each part reads an index in its order and stops there, so that
-- the cost is that of so many rows however many there are; forge_jobs_held and the batch leases are read
-- whole. No lock. 50 ms for 5,000 on 2 M waiting and 3 M finished rows.
-- Part `failing` finds the status `retry`, of which `due` and `scheduled` count only the jobs that they reach
-- first; part `ended` finds failures, of which `finished` does the same.
WITH due AS (
    SELECT status FROM forge_jobs WHERE ready AND node_id IS NULL
    ORDER BY queue, priority DESC, run_at, id LIMIT $1
), scheduled AS (
    SELECT status FROM forge_jobs
    WHERE NOT ready AND blocked_by IS NULL AND run_at < '9999-12-31'
    ORDER BY run_at LIMIT $1
), blocked AS (
    (SELECT status FROM forge_jobs WHERE blocked_by IS NOT NULL ORDER BY blocked_by LIMIT $1)
    UNION ALL
    (SELECT status FROM forge_jobs WHERE waits_for_jobs ORDER BY id LIMIT $1)
), failing AS (
    SELECT status FROM forge_jobs WHERE last_error IS NOT NULL ORDER BY id DESC LIMIT $1
), held AS (
    SELECT status FROM forge_jobs WHERE node_id IS NOT NULL
), leased AS (
    SELECT status FROM forge_unfinished_jobs WHERE lease_id IS NOT NULL
), finished AS (
    SELECT status FROM forge_job_history ORDER BY id DESC LIMIT $1
), ended AS (
    SELECT job.status
    FROM UNNEST(ARRAY['failed', 'dead_letter', 'cancelled']::forge_job_status[]) AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT status FROM forge_job_history
        WHERE status = wanted.status AND status <> 'completed'
        ORDER BY id DESC LIMIT $1
    ) AS job
)
SELECT part, status::text AS status, count(*) AS jobs
FROM (
    SELECT 'due' AS part, status FROM due
    UNION ALL SELECT 'scheduled', status FROM scheduled
    UNION ALL SELECT 'blocked', status FROM blocked
    UNION ALL SELECT 'failing', status FROM failing
    UNION ALL SELECT 'held', status FROM held
    UNION ALL SELECT 'leased', status FROM leased
    UNION ALL SELECT 'finished', status FROM finished
    UNION ALL SELECT 'ended', status FROM ended
) AS job
GROUP BY part, status
