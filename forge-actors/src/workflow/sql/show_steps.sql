-- Called by workflow/admin/find.rs for forge.workflow, forge.workflowSteps and forge.workflowStep: $1 run, $2
-- one position, or null; $3 steps at most, those with the largest positions; $4 bytes of arguments or result
-- that are read; $5 the position that comes after them, or null.
-- Positions are compared part by part, as numbers; the compensation of a step comes after it. Primary key; no
-- lock.
SELECT position, kind::text AS kind, status::text AS status, name, shape, attempts, number,
       CASE WHEN octet_length(input::text) <= $4 THEN input::text END AS input,
       octet_length(input::text) AS input_bytes,
       CASE WHEN octet_length(output::text) <= $4 THEN output::text END AS output,
       octet_length(output::text) AS output_bytes,
       error ->> 'code' AS error_code, error ->> 'message' AS error_message, failures::text AS failures,
       started_at, finished_at, due_at, event, event_key, awaits, count(*) OVER () AS steps
FROM forge_workflow_steps
WHERE run_id = $1 AND ($2::text IS NULL OR position = $2)
  AND ($5::text IS NULL
       OR (string_to_array(ltrim(position, '-'), '.')::int8[], position LIKE '-%')
          < (string_to_array(ltrim($5, '-'), '.')::int8[], $5 LIKE '-%'))
ORDER BY string_to_array(ltrim(position, '-'), '.')::int8[] DESC, position LIKE '-%' DESC
LIMIT $3
