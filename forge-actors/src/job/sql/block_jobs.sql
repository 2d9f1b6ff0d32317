-- Called by job/dependencies.rs after sql/insert_dependencies.sql, in the same transaction: $1 jobs that wait
-- for others from now on. Primary key; locks their rows. A job that has waited is held by its own row
-- afterwards, so that a record of an end and the next suspension take turns.
UPDATE forge_jobs
SET ready = false, waits_for_jobs = true, blocked_by = NULL, due_at = coalesce(due_at, run_at),
    run_at = '9999-12-31', batched = false
WHERE id = ANY ($1) AND node_id IS NULL
