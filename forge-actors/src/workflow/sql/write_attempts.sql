-- Called by workflow/attempts.rs: $1 lease, then an array for each column: the attempts of this owner that are
-- under way. Those that are not among them are deleted. Locks the row of the lease for key share: a lease that
-- was taken over writes nothing, and its rows stay as they are. An attempt is written while its run has this
-- lease and this claim. Index forge_workflow_attempts_owner; primary keys, as in sql/record_steps.sql.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $1 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
), executing AS MATERIALIZED (
    SELECT attempt.*
    FROM unnest($2::uuid[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::int4[], $8::float8[])
        AS attempt (run_id, claim, position, kind, name, attempt, elapsed)
    CROSS JOIN LATERAL (
        SELECT
        FROM forge_workflow_runs run
        WHERE run.id = attempt.run_id AND run.claim = attempt.claim
          AND coalesce(run.owner_id, 0) = (SELECT id FROM owner)
        OFFSET 0
    ) AS run
), ended AS (
    DELETE FROM forge_workflow_attempts known
    WHERE known.owner_id = (SELECT id FROM owner)
      AND NOT EXISTS (
          SELECT FROM executing
          WHERE executing.run_id = known.run_id AND executing.position = known.position
      )
)
INSERT INTO forge_workflow_attempts AS known (run_id, position, owner_id, claim, kind, name, attempt, began_at)
SELECT run_id, position, $1, claim, kind::forge_workflow_step_kind, name, attempt,
       clock_timestamp() - make_interval(secs => elapsed)
FROM executing
ON CONFLICT (run_id, position) DO UPDATE
SET owner_id = excluded.owner_id, claim = excluded.claim, kind = excluded.kind, name = excluded.name,
    attempt = excluded.attempt, began_at = excluded.began_at
WHERE (known.owner_id, known.claim, known.attempt)
      IS DISTINCT FROM (excluded.owner_id, excluded.claim, excluded.attempt)
