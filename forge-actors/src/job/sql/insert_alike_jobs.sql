-- Called by job/insert.rs for jobs that differ in id and arguments alone and have no limit, in the
-- transaction of their caller or in one of their own: $1 ids, $2 arguments, $3 name, $4 queue, $5 priority, $6
-- attempts, $7 seconds to wait, unless $8 says when the jobs may run, $9 identity, $10 trace, $11 bytes of the
-- arguments with which a job may be claimed in a batch lease, $12 time limit, $13 whether other jobs wait for
-- them. Appends to forge_jobs and its indexes; locks only its own rows.
-- What all of them share is sent and computed once (OFFSET 0 keeps the subquery apart). In statements of a
-- thousand a job costs the server 3.6 us, in sql/insert_jobs.sql, with fifteen arrays, 4.7.
INSERT INTO forge_jobs (
    id, name, queue, priority, attempts_max, ready, run_at, args, identity, trace, batched, timeout_ms, awaited
)
SELECT job.id, shared.name, shared.queue, shared.priority, shared.attempts_max, shared.ready, shared.run_at,
       job.args::json, shared.identity, shared.trace, octet_length(job.args) <= shared.batched_max,
       shared.timeout_ms, shared.awaited
FROM (
    SELECT $3::text AS name, $4::text AS queue, $5::int2 AS priority, $6::int4 AS attempts_max,
           coalesce($8::timestamptz <= now(), $7::float8 <= 0) AS ready,
           greatest(coalesce($8, now() + make_interval(secs => $7)), now()) AS run_at,
           $9::json AS identity, $10::text AS trace, $11::int4 AS batched_max, $12::int8 AS timeout_ms,
           $13::bool AS awaited
    OFFSET 0
) AS shared
CROSS JOIN UNNEST($1::uuid[], $2::text[]) AS job (id, args)
