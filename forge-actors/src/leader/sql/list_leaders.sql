-- Called by leader/store.rs for forge.leaders: $1 the lease in seconds. Reads all of forge_leaders, a handful
-- of rows; no lock.
SELECT name, epoch, node_id, node_name, elected_at, renewed_at, resigned_at,
       CASE WHEN resigned_at IS NOT NULL THEN 'resigned'
            WHEN renewed_at < now() - make_interval(secs => $1) THEN 'expired'
            ELSE 'leading' END AS state
FROM forge_leaders
ORDER BY name
