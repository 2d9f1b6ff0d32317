-- Called by workflow/migration.rs, in the transaction that migrates a run: $1 run, $2 old and $3 new
-- positions, $4 names, $5 shapes, $6 results of the steps that stay. They get a position that no step has in
-- between, since old and new ones overlap. Primary key.
UPDATE forge_workflow_steps step
SET position = '~' || moved.new_position, name = moved.name, shape = moved.shape, output = moved.output::json
FROM unnest($2::text[], $3::text[], $4::text[], $5::int8[], $6::text[])
    AS moved (old_position, new_position, name, shape, output)
WHERE step.run_id = $1 AND step.position = moved.old_position
