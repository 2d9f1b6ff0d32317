-- Called by workflow/expiry: $1 runs at most. Index forge_workflow_history_expires_at; the journal, the key and
-- the progress of a run go with it.
WITH old AS MATERIALIZED (
    SELECT id, followed FROM forge_workflow_history WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
), steps AS (
    DELETE FROM forge_workflow_steps WHERE run_id IN (SELECT id FROM old)
), keys AS (
    DELETE FROM forge_workflow_keys WHERE run_id IN (SELECT id FROM old)
), progress AS (
    DELETE FROM forge_workflow_progress WHERE run_id IN (SELECT id FROM old WHERE followed)
)
DELETE FROM forge_workflow_history WHERE id IN (SELECT id FROM old)
