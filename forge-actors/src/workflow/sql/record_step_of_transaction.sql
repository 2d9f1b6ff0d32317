-- Called by workflow/store in the transactions of steps: as sql/record_steps.sql, but also locks the runs for
-- share until the commit, so that nobody has them leave or ends them meanwhile, with a look at their newest
-- version.
-- $1 lease, then an array for each column of the steps. Locks the row of the lease for key share, in its
-- newest version: a lease that was taken over writes nothing. A step is written while its run has this lease
-- and this claim; one that has ended stays as it is. A step without a row in the answer was not written.
-- Primary keys, as in sql/record_steps.sql.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), held AS (
    SELECT step.*
    FROM unnest($2::uuid[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int8[], $9::int4[], $10::int4[],
                $11::text[], $12::text[], $13::text[], $14::float8[], $15::float8[], $16::text[], $17::text[], $18::int8[],
                $19::uuid[], $20::timestamptz[])
        AS step (run_id, claim, position, kind, status, name, shape, attempts, number, input, output, error, elapsed,
                 due_in, event, event_key, event_id, awaits, due_at)
    CROSS JOIN LATERAL (
        SELECT
        FROM forge_workflow_runs run
        WHERE run.id = step.run_id AND run.claim = step.claim AND coalesce(run.owner_id, 0) = (SELECT id FROM owner)
        FOR SHARE
    ) AS run
)
INSERT INTO forge_workflow_steps AS step (run_id, position, kind, status, name, shape, attempts, number, input, output, error,
    failures, started_at, finished_at, due_at, event, event_key, event_id, awaits)
SELECT run_id, position, kind::forge_workflow_step_kind, status::forge_workflow_step_status, name, shape, attempts, number,
       input::json, output::json, error::json,
       CASE WHEN error IS NOT NULL THEN jsonb_build_array(jsonb_build_object('at', clock_timestamp(), 'error', error::jsonb)) END,
       clock_timestamp() - make_interval(secs => elapsed),
       CASE WHEN status IN ('completed', 'failed', 'skipped', 'abandoned') THEN clock_timestamp() END,
       coalesce(due_at, clock_timestamp() + make_interval(secs => due_in)), event, event_key, event_id, awaits
FROM held
ON CONFLICT (run_id, position) DO UPDATE
SET kind = excluded.kind, status = excluded.status, name = excluded.name, shape = excluded.shape,
    attempts = excluded.attempts, number = excluded.number, input = coalesce(excluded.input, step.input),
    output = excluded.output, error = excluded.error,
    failures = CASE
        WHEN excluded.failures IS NULL THEN step.failures
        ELSE jsonb_path_query_array(coalesce(step.failures, '[]') || excluded.failures, '$[last - 19 to last]')
    END,
    finished_at = excluded.finished_at, due_at = coalesce(excluded.due_at, step.due_at),
    event = coalesce(excluded.event, step.event), event_key = coalesce(excluded.event_key, step.event_key),
    event_id = excluded.event_id, awaits = coalesce(excluded.awaits, step.awaits)
WHERE step.finished_at IS NULL
RETURNING run_id, position, finished_at, due_at
