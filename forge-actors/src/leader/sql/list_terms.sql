-- Called by leader/store.rs for forge.leaders, newest first: $1 how many rows at most. Index
-- forge_leader_history_ended_at; no lock.
SELECT name, epoch, node_id, node_name, elected_at, renewed_at, ended_at, reason
FROM forge_leader_history
ORDER BY ended_at DESC
LIMIT $1
