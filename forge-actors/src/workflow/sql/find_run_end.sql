-- Called by workflow/store for a run that waits for another one, $1, in a statement after sql/await_run.sql. A run
-- that has gone on as a new one stands for the newest of them. Primary keys, and the indexes
-- forge_workflow_runs_continues and forge_workflow_history_continues. `is_open`: it has not ended. No row: there
-- is no such run.
WITH RECURSIVE chain AS (
    SELECT $1::uuid AS id, 0 AS link
    UNION ALL
    SELECT next.id, chain.link + 1
    FROM chain
    CROSS JOIN LATERAL (
        SELECT run.id FROM forge_workflow_runs run WHERE run.continues = chain.id
        UNION ALL
        SELECT run.id FROM forge_workflow_history run WHERE run.continues = chain.id
    ) AS next
), newest AS (
    SELECT id FROM chain ORDER BY link DESC LIMIT 1
)
SELECT id, false AS is_open, status::text AS status, output::text AS output, error::text AS error
FROM forge_workflow_history
WHERE id = (SELECT id FROM newest)
UNION ALL
SELECT id, true, status::text, NULL, NULL
FROM forge_workflow_runs
WHERE id = (SELECT id FROM newest)
