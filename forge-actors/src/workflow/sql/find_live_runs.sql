-- Called by workflow/check.rs: $1 runs. Those that have ended meanwhile are not in the answer. Primary key; no lock.
SELECT id, workflow, version, input::text AS input, identity::text AS identity, attributes::text AS attributes,
       ending IS NOT NULL AS is_ending, begun_at, journal_bytes, clock_timestamp() AS now
FROM forge_workflow_runs
WHERE id = ANY ($1)
ORDER BY id DESC
