-- Called by forge.overview. A small table, read whole: rows of dead nodes are shown for an hour. No lock.
SELECT id, name, state::text AS state, roles, address, version, started_at, seen_at
FROM forge_nodes
WHERE state <> 'dead' OR seen_at > now() - interval '1 hour'
ORDER BY name, id
