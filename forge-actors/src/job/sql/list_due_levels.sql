-- Called by job/admin/queues.rs for forge.queues and forge.jobWaits. Skips through the index
-- forge_jobs_claimable from one queue and priority to the next, and reads the oldest entry of each; no lock.
-- 5 ms on 2 M waiting jobs of four queues.
WITH RECURSIVE queues AS (
    (
        SELECT queue FROM forge_jobs WHERE ready AND node_id IS NULL
        ORDER BY queue, priority DESC, run_at, id LIMIT 1
    )
    UNION ALL
    SELECT next.queue
    FROM queues CROSS JOIN LATERAL (
        SELECT queue FROM forge_jobs WHERE ready AND node_id IS NULL AND queue > queues.queue
        ORDER BY queue, priority DESC, run_at, id LIMIT 1
    ) AS next
), levels AS (
    SELECT queues.queue, first.priority, first.run_at
    FROM queues CROSS JOIN LATERAL (
        SELECT priority, run_at FROM forge_jobs WHERE queue = queues.queue AND ready AND node_id IS NULL
        ORDER BY priority DESC, run_at, id LIMIT 1
    ) AS first
    UNION ALL
    SELECT levels.queue, next.priority, next.run_at
    FROM levels CROSS JOIN LATERAL (
        SELECT priority, run_at FROM forge_jobs
        WHERE queue = levels.queue AND priority < levels.priority AND ready AND node_id IS NULL
        ORDER BY priority DESC, run_at, id LIMIT 1
    ) AS next
)
SELECT queue, priority, run_at AS oldest_due_at FROM levels LIMIT 10000
