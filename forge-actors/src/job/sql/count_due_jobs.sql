-- Called by job/admin/queues.rs for forge.queues: $1 queues, $2 how many due jobs are counted of each. Reads
-- so many entries of the index forge_jobs_claimable of each, and the first 100 jobs; no lock. 38 ms for 5,000
-- of four queues. Jobs without a handler are never claimed, so they are among the first ones.
SELECT wanted.queue, due.jobs, first.names
FROM UNNEST($1::text[]) AS wanted (queue)
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs
    FROM (
        SELECT FROM forge_jobs WHERE queue = wanted.queue AND ready AND node_id IS NULL
        ORDER BY priority DESC, run_at, id LIMIT $2
    ) AS job
) AS due
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT name) AS names
    FROM (
        SELECT name FROM forge_jobs WHERE queue = wanted.queue AND ready AND node_id IS NULL
        ORDER BY priority DESC, run_at, id LIMIT 100
    ) AS job
) AS first
