-- Called by workflow/insert for starts with and without a key, and by workflow/starter: an array for each
-- column. The row of a key is locked before, by sql/lock_run_key.sql.
INSERT INTO forge_workflow_runs (id, workflow, version, key, due_at, input, identity, trace, deadline_at, parent_id,
    parent_position, parent_policy, followed, retain_secs, attributes, continues)
SELECT id, workflow, version, key, clock_timestamp() + make_interval(secs => after), input::json, identity::json, trace,
       clock_timestamp() + make_interval(secs => timeout), parent_id, parent_position,
       policy::forge_workflow_parent_policy, followed, retain_secs, attributes::jsonb, continues
FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::text[], $5::float8[], $6::text[], $7::text[], $8::text[], $9::float8[],
            $10::uuid[], $11::text[], $12::text[], $13::bool[], $14::float8[], $15::text[], $16::uuid[])
    AS run (id, workflow, version, key, after, input, identity, trace, timeout, parent_id, parent_position, policy, followed,
            retain_secs, attributes, continues)
