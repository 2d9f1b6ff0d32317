-- Called by workflow/admin/list.rs for forge.workflows and forge.bulkWorkflows, after
-- sql/find_run_horizon.sql. $1 where to look: `live`, `history`; $2 statuses that are read by their index; $3
-- first and $4 end of the range of ids; $5 rows of one source at most. The filter, each part may be null: $6
-- statuses, $7 workflow, $8 version, $9 the application's id, $10 parent, $11 and $12 when it was started,
-- $13 attributes, $14 text in lower case; $15 limit.
-- Each source reads its index backwards (the primary keys, forge_workflow_runs_parked and
-- forge_workflow_history_unsuccessful) and no further than its range, whatever the filter. No lock.
SELECT run.id, run.workflow, run.version, run.key, run.status, run.error ->> 'code' AS error_code,
       run.error ->> 'message' AS error_message, run.request, owner.node_name AS node, run.steps,
       nullif(run.due_at, 'infinity') AS due_at, run.created_at, run.begun_at, run.finished_at, run.parent_id
FROM (
    (
        SELECT id, workflow, version, key,
               CASE WHEN ending IS NOT NULL AND status IN ('ready', 'running', 'waiting') THEN 'compensating'
                    ELSE status::text END AS status,
               error, request::text AS request, owner_id, steps, due_at, created_at, begun_at,
               NULL::timestamptz AS finished_at, parent_id, attributes
        FROM forge_workflow_runs
        WHERE 'live' = ANY ($1::text[]) AND id >= $3 AND id < $4
        ORDER BY id DESC
        LIMIT $5
    )
    UNION ALL
    (
        SELECT run.id, workflow, version, key, run.status::text, error, request::text, owner_id, steps,
               due_at, created_at, begun_at, NULL, parent_id, attributes
        FROM UNNEST($2::forge_workflow_status[]) AS parked (status)
        CROSS JOIN LATERAL (
            SELECT * FROM forge_workflow_runs
            WHERE status = parked.status AND status IN ('paused', 'diverged', 'compensation_failed')
              AND id >= $3 AND id < $4
            ORDER BY id DESC
            LIMIT $5
        ) AS run
    )
    UNION ALL
    (
        SELECT id, workflow, version, key, status::text, error, NULL, NULL, steps, NULL, created_at,
               begun_at, finished_at, parent_id, attributes
        FROM forge_workflow_history
        WHERE 'history' = ANY ($1) AND id >= $3 AND id < $4
        ORDER BY id DESC
        LIMIT $5
    )
    UNION ALL
    (
        SELECT run.id, workflow, version, key, run.status::text, error, NULL, NULL, steps, NULL, created_at,
               begun_at, finished_at, parent_id, attributes
        FROM UNNEST($2::forge_workflow_status[]) AS ended (status)
        CROSS JOIN LATERAL (
            SELECT * FROM forge_workflow_history
            WHERE status = ended.status AND status IN ('failed', 'cancelled', 'terminated')
              AND id >= $3 AND id < $4
            ORDER BY id DESC
            LIMIT $5
        ) AS run
    )
) AS run
LEFT JOIN forge_workflow_owners owner ON owner.id = run.owner_id
WHERE ($6::text[] IS NULL OR run.status = ANY ($6))
  AND ($7::text IS NULL OR run.workflow = $7)
  AND ($8::int4 IS NULL OR run.version = $8)
  AND ($9::text IS NULL OR run.key = $9 OR run.key = to_json($9)::text)
  AND ($10::uuid IS NULL OR run.parent_id = $10)
  AND ($11::timestamptz IS NULL OR run.created_at >= $11)
  AND ($12::timestamptz IS NULL OR run.created_at < $12)
  AND ($13::jsonb IS NULL OR run.attributes @> $13)
  AND ($14::text IS NULL OR strpos(lower(run.workflow), $14) > 0 OR strpos(lower(run.key), $14) > 0
      OR strpos(lower(run.error ->> 'code'), $14) > 0 OR strpos(lower(run.error ->> 'message'), $14) > 0
      OR ($14 ~ '^[0-9a-f-]+$' AND strpos(run.id::text, $14) > 0))
ORDER BY run.id DESC
LIMIT $15
