-- Called by workflow/store for the ender: $1 lease, $2 seconds for which runs are kept whose workflow says
-- nothing else, then an array for each column: run, claim, status, output, error, steps, bytes of the journal, and
-- how the row of the run says that it ends. Moves runs to the history, and writes an event for those that others
-- wait for. A run of which a person has asked to be cancelled does not complete, and none ends otherwise than its
-- row says. Who has asked for a cancellation, and why, is added to its message. Locks the row of the lease for key
-- share, and the runs in the order of their ids. Runs without a row in the answer were not ended. Primary key, as
-- in sql/record_steps.sql; a run finds its place in the arrays without a join, whose plan could read all runs.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), ending AS MATERIALIZED (
    SELECT ending.run_id
    FROM (
        SELECT *
        FROM unnest($3::uuid[], $4::int4[], $5::text[], $10::text[]) AS ending (run_id, claim, status, expected)
        ORDER BY run_id
    ) AS ending
    CROSS JOIN LATERAL (
        SELECT
        FROM forge_workflow_runs run
        WHERE run.id = ending.run_id AND run.claim = ending.claim AND coalesce(run.owner_id, 0) = (SELECT id FROM owner)
          AND run.ending::text IS NOT DISTINCT FROM ending.expected
          AND (ending.status NOT IN ('completed', 'continued') OR run.request IS DISTINCT FROM 'cancel')
        FOR UPDATE
    ) AS run
), ended AS (
    DELETE FROM forge_workflow_runs run
    WHERE run.id = ANY (ARRAY (SELECT run_id FROM ending))
    RETURNING run.*, array_position($3, run.id) AS place
), kept AS (
    INSERT INTO forge_workflow_history (id, workflow, version, key, status, claim, error, output, input, identity, trace,
        created_at, begun_at, expires_at, deadline_at, parent_id, parent_position, followed, attributes, published, steps,
        journal_bytes, continues)
    SELECT id, workflow, version, key, ($5::text[])[place]::forge_workflow_status, claim,
           coalesce(CASE
                        WHEN ($5::text[])[place] = 'cancelled' AND cancel_reason IS NOT NULL THEN jsonb_set(
                            ($7::text[])[place]::jsonb, '{message}',
                            to_jsonb(concat_ws(' ', ($7::text[])[place]::jsonb ->> 'message', cancel_reason))
                        )::json
                        ELSE ($7::text[])[place]::json
                    END, error), ($6::text[])[place]::json, input, identity, trace, created_at, begun_at,
           clock_timestamp() + make_interval(secs => coalesce(retain_secs, $2)), deadline_at, parent_id, parent_position,
           followed, attributes, published, ($8::int4[])[place], ($9::int8[])[place], continues
    FROM ended
), announced AS (
    INSERT INTO forge_workflow_events (event, key, payload)
    SELECT 'forge.run', id::text, 'null'
    FROM ended
    WHERE parent_id IS NOT NULL OR awaited
    RETURNING id
)
SELECT id, parent_id IS NOT NULL OR awaited AS is_awaited FROM ended
