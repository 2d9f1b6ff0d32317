-- Called by workflow/chain.rs for `ctx.cancel_run(..)` and for the refusal of a command: $1 run. The newest
-- of the runs that it has gone on as; no row where it has not. Indexes forge_workflow_runs_continues and
-- forge_workflow_history_continues.
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
)
SELECT id FROM chain WHERE link > 0 ORDER BY link DESC LIMIT 1
