-- Called by job/insert.rs for the runs of crons, in the transaction that writes the runs: $1 ids, $2 names,
-- $3 queues, $4 priorities, $5 attempts, $6 seconds to wait, unless $11 says when a job may run, $7
-- arguments, $8 identities, $9 traces, $10 whether they may be claimed in a batch lease. Appends to
-- forge_jobs and its indexes; locks only its own rows.
INSERT INTO forge_jobs (
    id, name, queue, priority, attempts_max, ready, run_at, args, identity, trace, batched
)
SELECT id, name, queue, priority, attempts_max,
       coalesce(run_at <= now(), after_secs <= 0),
       greatest(coalesce(run_at, now() + make_interval(secs => after_secs)), now()),
       args::json, identity::json, trace, batched
FROM UNNEST(
    $1::uuid[], $2::text[], $3::text[], $4::int2[], $5::int4[], $6::float8[], $7::text[], $8::text[],
    $9::text[], $10::bool[], $11::timestamptz[]
) AS job (id, name, queue, priority, attempts_max, after_secs, args, identity, trace, batched, run_at)
