-- Called by workflow/check.rs: $1 end of the range of ids, $2 and $3 workflows and versions, $4 runs at most, the
-- newest ones. Primary key, backwards; no lock.
SELECT id, workflow, version, input::text AS input, identity::text AS identity, attributes::text AS attributes,
       ending IS NOT NULL AS is_ending, begun_at, journal_bytes, clock_timestamp() AS now
FROM forge_workflow_runs run
WHERE id < $1
  AND EXISTS (
      SELECT FROM unnest($2::text[], $3::int4[]) AS code (workflow, version)
      WHERE code.workflow = run.workflow AND code.version = run.version
  )
ORDER BY id DESC
LIMIT $4
