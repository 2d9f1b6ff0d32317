-- Called by workflow/admin/waiting.rs for forge.emitEvent: $1 event, $2 its key, $3 how many are counted. Index
-- forge_workflow_steps_event. A run that waits in several branches counts once. No lock.
SELECT count(DISTINCT run_id)
FROM (
    SELECT run_id
    FROM forge_workflow_steps
    WHERE event = $1 AND event_key = $2 AND status = 'waiting' AND event IS NOT NULL
    LIMIT $3
) AS waiting
