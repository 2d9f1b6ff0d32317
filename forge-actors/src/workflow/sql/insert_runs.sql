-- Called by workflow/insert for starts with and without a key, and by workflow/starter: an array for each
-- column, $17 the lease of the node that begins the runs of $18 itself. They are begun while that lease lives: its row
-- is locked for key share. Without a lease, and otherwise, the runs are to be claimed. The row of a key is locked
-- before, by sql/lock_run_key.sql.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM forge_workflow_owners
    WHERE id = $17 AND lost_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
)
INSERT INTO forge_workflow_runs (id, workflow, version, key, due_at, input, identity, trace, deadline_at, parent_id,
    parent_position, parent_policy, followed, retain_secs, attributes, continues, status, owner_id, claim, begun_at)
SELECT run.id, workflow, version, key, clock_timestamp() + make_interval(secs => after), input::json, identity::json, trace,
       clock_timestamp() + make_interval(secs => timeout), parent_id, parent_position,
       policy::forge_workflow_parent_policy, followed, retain_secs, attributes::jsonb, continues,
       CASE WHEN owner.id IS NULL THEN 'ready' ELSE 'running' END::forge_workflow_status, owner.id,
       CASE WHEN owner.id IS NULL THEN 0 ELSE 1 END, CASE WHEN owner.id IS NOT NULL THEN clock_timestamp() END
FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::text[], $5::float8[], $6::text[], $7::text[], $8::text[], $9::float8[],
            $10::uuid[], $11::text[], $12::text[], $13::bool[], $14::float8[], $15::text[], $16::uuid[], $18::bool[])
    AS run (id, workflow, version, key, after, input, identity, trace, timeout, parent_id, parent_position, policy, followed,
            retain_secs, attributes, continues, begins)
LEFT JOIN owner ON run.begins
RETURNING id, due_at, deadline_at, begun_at, owner_id IS NOT NULL AS is_begun
