-- Called by leader/store.rs for pages that show the leaders. Reads all of forge_leaders, a handful of rows; no lock.
SELECT name, epoch, node_id, node_name, elected_at, renewed_at, resigned_at FROM forge_leaders ORDER BY name
