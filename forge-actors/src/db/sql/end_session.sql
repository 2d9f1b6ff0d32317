-- Called by db/database.rs for a session that was discarded while a statement ran: $1 pid. No table, no lock:
-- reading the list of sessions takes longer, and what the session does goes on meanwhile.
SELECT pg_terminate_backend($1)
