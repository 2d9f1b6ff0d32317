-- Called by workflow/check.rs: $1 workflow, $2 version, $3 end of the range of ids, $4 runs at most, the
-- newest ones. Primary key, backwards; no lock.
SELECT id, input::text AS input, identity::text AS identity, attributes::text AS attributes,
       ending IS NOT NULL AS is_ending, begun_at, clock_timestamp() AS now
FROM forge_workflow_runs
WHERE workflow = $1 AND version = $2 AND id < $3
ORDER BY id DESC
LIMIT $4
