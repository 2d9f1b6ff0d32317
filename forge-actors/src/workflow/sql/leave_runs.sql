-- Called by workflow/store for the leaver: $1 lease, then an array for each column. Runs leave their owner:
-- they wait, are parked, or are to be claimed again. A run that something came for meanwhile, or of which a
-- person has asked something, is due at once. Where a run diverges while it is compensated, `cause` keeps why
-- it is: retry_runs.sql brings that back. Locks the row of the lease for key share, and the runs in the
-- order of their ids, as the router does. Runs without a row in the answer are not held any more.
-- Primary key, as in sql/record_steps.sql.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), leaving AS MATERIALIZED (
    SELECT leave.*
    FROM (
        SELECT *
        FROM unnest($2::uuid[], $3::int4[], $4::text[], $5::timestamptz[], $6::int4[], $7::text[], $8::int4[], $9::int8[],
                    $10::bool[])
            AS leave (run_id, claim, status, due_at, wakes, error, steps, journal_bytes, answers_request)
        ORDER BY run_id
    ) AS leave
    CROSS JOIN LATERAL (
        SELECT
        FROM forge_workflow_runs run
        WHERE run.id = leave.run_id AND run.claim = leave.claim AND coalesce(run.owner_id, 0) = (SELECT id FROM owner)
        FOR NO KEY UPDATE
    ) AS run
)
UPDATE forge_workflow_runs run
SET status = CASE
        WHEN leaving.status = 'waiting' AND (run.wakes <> leaving.wakes OR run.request IS NOT NULL)
            THEN 'ready'::forge_workflow_status
        -- A person has resumed it, or asked for something else, before its owner has paused it.
        WHEN leaving.status = 'paused' AND run.request IS DISTINCT FROM 'pause' THEN 'ready'
        ELSE leaving.status::forge_workflow_status
    END,
    owner_id = NULL,
    due_at = CASE
        WHEN leaving.status = 'waiting' AND run.wakes = leaving.wakes AND run.request IS NULL
            THEN least(coalesce(leaving.due_at, 'infinity'),
                       CASE WHEN run.ending IS NULL THEN coalesce(run.deadline_at, 'infinity')
                            ELSE 'infinity' END)
        ELSE clock_timestamp()
    END,
    request = CASE WHEN leaving.answers_request AND run.request = 'pause' THEN NULL ELSE run.request END,
    error = CASE
        WHEN leaving.error IS NULL THEN run.error
        WHEN run.ending IS NULL THEN leaving.error::json
        ELSE json_build_object('code', leaving.error::json -> 'code', 'message', leaving.error::json -> 'message',
                               'details', leaving.error::json -> 'details', 'cause', run.error)
    END,
    -- A run that has left to wait does not take its node down.
    crashes = CASE WHEN leaving.status = 'waiting' THEN 0 ELSE run.crashes END,
    crashed_at = CASE WHEN leaving.status = 'waiting' THEN NULL ELSE run.crashed_at END,
    steps = coalesce(leaving.steps, run.steps),
    journal_bytes = coalesce(leaving.journal_bytes, run.journal_bytes)
FROM leaving
WHERE run.id = ANY ($2) AND run.id = leaving.run_id
RETURNING run.id
