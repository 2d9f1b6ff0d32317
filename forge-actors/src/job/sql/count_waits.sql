-- Called by job/admin/queues.rs for forge.jobWaits: $1 and $2 the milliseconds between which the jobs of a
-- bucket have waited, $3 queues and $4 priorities with due jobs, $5 how many are counted of a bucket. Reads
-- so many entries of the index forge_jobs_claimable for each bucket; no lock. 6 ms for 5,000 and seven
-- buckets.
SELECT bucket.up_to_ms, due.jobs
FROM UNNEST($1::int8[], $2::int8[]) AS bucket (from_ms, up_to_ms)
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs
    FROM (
        SELECT
        FROM UNNEST($3::text[], $4::int2[]) AS level (queue, priority)
        CROSS JOIN LATERAL (
            SELECT FROM forge_jobs
            WHERE queue = level.queue AND priority = level.priority AND ready AND node_id IS NULL
              AND run_at <= now() - bucket.from_ms * interval '1 ms'
              AND run_at > coalesce(now() - bucket.up_to_ms * interval '1 ms', '-infinity')
            LIMIT $5
        ) AS job
        LIMIT $5
    ) AS job
) AS due
