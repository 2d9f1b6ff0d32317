-- Called by workflow/admin/history.rs for forge.workflowHistory: $1 run. Primary keys; no lock.
WITH run AS (
    SELECT id, workflow, version,
           CASE WHEN ending IS NOT NULL AND status IN ('ready', 'running', 'waiting') THEN 'compensating'
                ELSE status::text END AS status,
           ending IS NOT NULL AS is_ending, claim, error, input, NULL::json AS output, identity, attributes,
           created_at, begun_at
    FROM forge_workflow_runs
    WHERE id = $1
    UNION ALL
    SELECT id, workflow, version, status::text, false, claim, error, input, output, identity, attributes,
           created_at, begun_at
    FROM forge_workflow_history
    WHERE id = $1
)
SELECT id, workflow, version, status, is_ending, claim, error ->> 'code' AS error_code,
       error ->> 'message' AS error_message, input::text AS input, output::text AS output,
       identity ->> 'subject' AS subject, identity ->> 'tenant' AS tenant,
       ARRAY(SELECT json_array_elements_text(identity -> 'roles')) AS roles, attributes::text AS attributes,
       coalesce(begun_at, created_at) AS begun_at,
       (SELECT count(*) FROM forge_workflow_steps WHERE run_id = $1) AS steps
FROM run
