-- Called by job/insert.rs for the dispatch of a job without a limit, in the transaction of a call or in one
-- of its own: $6 seconds to wait, unless $11 says when the job may run; $10 whether it may be claimed in a batch
-- lease; $12 time limit; $13 whether another job waits for it. Appends to forge_jobs and its indexes; locks
-- only its own row. sql/insert_limited_job.sql, which looks for blocked jobs, costs the server a third more.
INSERT INTO forge_jobs (
    id, name, queue, priority, attempts_max, ready, run_at, args, identity, trace, batched, timeout_ms, awaited
)
VALUES (
    $1, $2, $3, $4, $5,
    coalesce($11::timestamptz <= now(), $6::float8 <= 0),
    greatest(coalesce($11, now() + make_interval(secs => $6)), now()),
    $7::json, $8::json, $9, $10, $12::int8, $13::bool
)
