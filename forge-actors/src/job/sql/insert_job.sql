-- Called by job/insert.rs for a dispatch, in the transaction of the dispatching call: $6 seconds to wait,
-- unless $11 says when the job may run; $10 whether it may be claimed in a batch lease. Appends to
-- forge_jobs and its indexes; locks only its own row.
INSERT INTO forge_jobs (
    id, name, queue, priority, attempts_max, ready, run_at, args, identity, trace, batched
)
VALUES (
    $1, $2, $3, $4, $5,
    coalesce($11::timestamptz <= now(), $6 <= 0),
    greatest(coalesce($11::timestamptz, now() + make_interval(secs => $6)), now()),
    $7::json, $8::json, $9, $10
)
