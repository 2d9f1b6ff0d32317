-- Called by workflow/admin/find.rs for forge.workflow: $1 run. Primary keys, and the indexes on `continues`;
-- no lock.
WITH run AS (
    SELECT id, workflow, version, key,
           CASE WHEN ending IS NOT NULL AND status IN ('ready', 'running', 'waiting') THEN 'compensating'
                ELSE status::text END AS status,
           ending::text AS ending, error, request::text AS request, owner_id, steps, journal_bytes, due_at,
           created_at, begun_at, NULL::timestamptz AS finished_at, NULL::timestamptz AS expires_at, deadline_at,
           parent_id, parent_position, parent_policy::text AS parent_policy, input, NULL::json AS output, identity,
           trace, attributes, published, continues,
           CASE WHEN EXISTS (SELECT FROM forge_workflow_steps WHERE run_id = $1 AND finished_at > crashed_at) THEN 0
                ELSE crashes END AS crashes
    FROM forge_workflow_runs
    WHERE id = $1
    UNION ALL
    SELECT id, workflow, version, key, status::text, NULL, error, NULL, NULL, steps, journal_bytes, NULL,
           created_at, begun_at, finished_at, expires_at, deadline_at, parent_id, parent_position, NULL, input,
           output, identity, trace, attributes, published, continues, 0
    FROM forge_workflow_history
    WHERE id = $1
)
SELECT run.id, run.workflow, run.version, run.key, run.status, run.ending, run.error ->> 'code' AS error_code,
       run.error ->> 'message' AS error_message, run.error -> 'cause' ->> 'code' AS cause_code,
       run.error -> 'cause' ->> 'message' AS cause_message, divergence ->> 'position' AS divergence_position,
       divergence ->> 'expected' AS divergence_expected, divergence ->> 'found' AS divergence_found, run.request,
       owner.node_name AS node, owner.node_id, run.steps, run.journal_bytes,
       nullif(run.due_at, 'infinity') AS due_at, run.created_at, run.begun_at, run.finished_at, run.expires_at,
       run.deadline_at, run.crashes, run.parent_id, run.parent_position, run.parent_policy,
       run.input::text AS input, run.output::text AS output, run.identity ->> 'subject' AS subject,
       run.identity ->> 'tenant' AS tenant, run.trace, run.attributes::text AS attributes,
       run.published::text AS published, run.continues,
       coalesce(
           (SELECT next.id FROM forge_workflow_runs next WHERE next.continues = run.id LIMIT 1),
           (SELECT next.id FROM forge_workflow_history next WHERE next.continues = run.id LIMIT 1)
       ) AS continued_as
FROM run
CROSS JOIN LATERAL (
    SELECT CASE WHEN run.status = 'diverged' THEN run.error -> 'details' END AS divergence
) AS diverged
LEFT JOIN forge_workflow_owners owner ON owner.id = run.owner_id
