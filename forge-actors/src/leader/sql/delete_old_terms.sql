-- Called by leader/store.rs for the duty term_expiry: $1 seconds of retention, $2 how many rows at most.
-- Index forge_leader_history_ended_at. Locks the rows that it deletes.
DELETE FROM forge_leader_history
WHERE (name, epoch) IN (
    SELECT name, epoch FROM forge_leader_history
    WHERE ended_at < now() - make_interval(secs => $1)
    ORDER BY ended_at
    LIMIT $2
)
