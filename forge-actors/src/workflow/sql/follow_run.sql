-- Called by workflow/follow.rs for a start whose caller wants a handle, in its transaction: $1 run, $2 the
-- identity of the caller, $3 how many identities may follow a run. Primary keys. Locks the run, unless the
-- identity follows it already: what becomes of the run later is written into the row of its progress by the
-- triggers. Returns no row for a run that has ended, and is not followed by the identity.
WITH following AS MATERIALIZED (
    SELECT id FROM forge_workflow_progress WHERE id = $1 AND followers @> ARRAY[$2]
), live AS MATERIALIZED (
    SELECT id, status, ending, due_at, published, created_at
    FROM forge_workflow_runs
    WHERE id = $1 AND NOT EXISTS (SELECT FROM following)
    FOR NO KEY UPDATE
), flagged AS (
    UPDATE forge_workflow_runs run SET followed = true FROM live WHERE run.id = live.id AND NOT run.followed
), followed AS (
    INSERT INTO forge_workflow_progress AS known (
        id, run_id, followers, status, compensating, due_at, published, created_at
    )
    SELECT id, id, ARRAY[$2], status, ending IS NOT NULL,
           CASE WHEN status IN ('ready', 'waiting') THEN nullif(due_at, 'infinity') END, published, created_at
    FROM live
    ON CONFLICT (id) DO UPDATE
    SET followers = CASE
        WHEN known.followers @> ARRAY[$2] OR cardinality(known.followers) >= $3 THEN known.followers
        ELSE known.followers || $2
    END
    RETURNING id
)
SELECT id FROM following
UNION ALL
SELECT id FROM followed
