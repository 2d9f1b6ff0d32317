-- Called by forge.overview. A small table, read whole, and once more for each row of a dead node: those are shown for an hour, and not when another
-- process has taken their name and place. No lock.
SELECT id, name, state::text AS state, roles, address, version, started_at, seen_at
FROM forge_nodes AS node
WHERE state <> 'dead' OR (seen_at > now() - interval '1 hour' AND NOT EXISTS (
    SELECT FROM forge_nodes AS successor
    WHERE successor.name = node.name AND successor.address IS NOT DISTINCT FROM node.address AND successor.started_at > node.started_at
))
ORDER BY name, id
