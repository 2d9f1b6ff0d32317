-- Called by job/insert.rs for several dispatches, in the transaction of their caller or in one of their own,
-- and for the runs of crons, in the transaction that writes them: $1 ids, $2 names, $3 queues, $4 priorities, $5 attempts, $6 seconds to wait, unless $11
-- says when a job may run, $7 arguments, $8 identities, $9 traces, $10 whether they may be claimed in a batch
-- lease, $12 keys of concurrency limits, $13 of rate limits, $14 time limits, $15 whether other jobs wait for
-- them. Appends to forge_jobs and its indexes; locks only its own rows. As sql/insert_limited_job.sql, jobs
-- of a blocked key are blocked.
-- A job without a key looks for none, and the order keeps the look in the index: when most jobs are blocked,
-- the server would look for a key from the beginning of the table.
INSERT INTO forge_jobs (
    id, name, queue, priority, attempts_max, ready, run_at, args, identity, trace, batched,
    concurrency_key, rate_key, timeout_ms, blocked_by, due_at, awaited
)
SELECT id, name, queue, priority, attempts_max,
       due.now AND blocked.by IS NULL,
       CASE WHEN blocked.by IS NULL THEN due.at ELSE '9999-12-31' END,
       args::json, identity::json, trace, batched, concurrency_key, rate_key, timeout_ms,
       blocked.by,
       CASE WHEN blocked.by IS NOT NULL THEN due.at END,
       awaited
FROM UNNEST(
    $1::uuid[], $2::text[], $3::text[], $4::int2[], $5::int4[], $6::float8[], $7::text[], $8::text[],
    $9::text[], $10::bool[], $11::timestamptz[], $12::text[], $13::text[], $14::int8[],
    $15::bool[]
) AS job (
    id, name, queue, priority, attempts_max, after_secs, args, identity, trace, batched, run_at,
    concurrency_key, rate_key, timeout_ms, awaited
)
CROSS JOIN LATERAL (
    SELECT coalesce(run_at <= now(), after_secs <= 0) AS now,
           greatest(coalesce(run_at, now() + make_interval(secs => after_secs)), now()) AS at
) AS due
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN NOT due.now THEN NULL
        WHEN job.concurrency_key IS NOT NULL
             AND (
                 SELECT blocked_by FROM forge_jobs
                 WHERE blocked_by >= job.concurrency_key
                 ORDER BY blocked_by LIMIT 1
             ) = job.concurrency_key
            THEN job.concurrency_key
        WHEN job.rate_key IS NOT NULL
             AND (
                 SELECT blocked_by FROM forge_jobs
                 WHERE blocked_by >= job.rate_key
                 ORDER BY blocked_by LIMIT 1
             ) = job.rate_key
            THEN job.rate_key
    END AS by
) AS blocked
