-- Called by workflow/admin/matches.rs for forge.countWorkflows: $1 where to look: `live`, `history`; $2
-- statuses that are read by their index. The filter, each part may be null: $3 statuses, $4 workflow, $5
-- version, $6 the application's id, $7 parent, $8 and $9 when it was started, $10 attributes, $11 text in
-- lower case. Reads the tables whole, but for the statuses of $2; no lock. A person asks for it once, before
-- a bulk.
SELECT run.status, count(*) AS runs
FROM (
    SELECT id, workflow, version, key,
           CASE WHEN ending IS NOT NULL AND status IN ('ready', 'running', 'waiting') THEN 'compensating'
                ELSE status::text END AS status,
           error, created_at, parent_id, attributes
    FROM forge_workflow_runs
    WHERE 'live' = ANY ($1::text[])
    UNION ALL
    SELECT id, workflow, version, key, status::text, error, created_at, parent_id, attributes
    FROM forge_workflow_runs
    WHERE status = ANY ($2::text[]::forge_workflow_status[])
      AND status IN ('paused', 'diverged', 'compensation_failed')
    UNION ALL
    SELECT id, workflow, version, key, status::text, error, created_at, parent_id, attributes
    FROM forge_workflow_history
    WHERE 'history' = ANY ($1)
    UNION ALL
    SELECT id, workflow, version, key, status::text, error, created_at, parent_id, attributes
    FROM forge_workflow_history
    WHERE status = ANY ($2::text[]::forge_workflow_status[])
      AND status IN ('failed', 'cancelled', 'terminated')
) AS run
WHERE ($3::text[] IS NULL OR run.status = ANY ($3))
  AND ($4::text IS NULL OR run.workflow = $4)
  AND ($5::int4 IS NULL OR run.version = $5)
  AND ($6::text IS NULL OR run.key = $6 OR run.key = to_json($6)::text)
  AND ($7::uuid IS NULL OR run.parent_id = $7)
  AND ($8::timestamptz IS NULL OR run.created_at >= $8)
  AND ($9::timestamptz IS NULL OR run.created_at < $9)
  AND ($10::jsonb IS NULL OR run.attributes @> $10)
  AND ($11::text IS NULL OR strpos(lower(run.workflow), $11) > 0 OR strpos(lower(run.key), $11) > 0
      OR strpos(lower(run.error ->> 'code'), $11) > 0 OR strpos(lower(run.error ->> 'message'), $11) > 0
      OR ($11 ~ '^[0-9a-f-]+$' AND strpos(run.id::text, $11) > 0))
GROUP BY run.status
