-- Called by workflow/admin/find.rs for forge.workflow, forge.workflowSteps and forge.workflowStep: $1 run, $2
-- one position, or null; $3 steps at most, those with the largest positions; $4 bytes of arguments or result
-- that are read; $5 the position that comes after them, or null.
-- A step of which an attempt is under way is `running`, whether the journal has a row for it or not; one whose
-- attempt was cut off is `interrupted`, until the run is claimed again.
-- Positions are compared part by part, as numbers; the compensation of a step comes after it. Primary keys; no
-- lock.
WITH attempt AS (
    SELECT attempt.position, attempt.kind, attempt.name, attempt.attempt, attempt.began_at,
           CASE WHEN EXISTS (
               SELECT FROM forge_workflow_owners owner
               WHERE owner.id = attempt.owner_id AND owner.id = run.owner_id AND owner.lost_at IS NULL
                 AND owner.expires_at > clock_timestamp()
           ) THEN 'running' ELSE 'interrupted' END AS status
    FROM forge_workflow_attempts attempt
    JOIN forge_workflow_runs run ON run.id = attempt.run_id AND run.claim = attempt.claim
    WHERE attempt.run_id = $1
), shown AS (
    SELECT step.position, step.kind, coalesce(attempt.status, step.status::text) AS status, step.name, step.shape,
           coalesce(attempt.attempt, step.attempts) AS attempts, step.number, step.input, step.output, step.error,
           step.failures, step.started_at, step.finished_at, step.due_at, step.event, step.event_key, step.awaits,
           attempt.began_at AS attempt_at
    FROM forge_workflow_steps step
    LEFT JOIN attempt
        ON attempt.position = step.position AND step.finished_at IS NULL AND step.attempts < attempt.attempt
    WHERE step.run_id = $1
    UNION ALL
    SELECT position, kind, status, name, 0, attempt, NULL, NULL, NULL, NULL, NULL, began_at, NULL, NULL, NULL,
           NULL, NULL, began_at
    FROM attempt
    WHERE NOT EXISTS (
        SELECT FROM forge_workflow_steps step WHERE step.run_id = $1 AND step.position = attempt.position
    )
)
SELECT position, kind::text AS kind, status, name, shape, attempts, number,
       CASE WHEN octet_length(input::text) <= $4 THEN input::text END AS input,
       octet_length(input::text) AS input_bytes,
       CASE WHEN octet_length(output::text) <= $4 THEN output::text END AS output,
       octet_length(output::text) AS output_bytes,
       error ->> 'code' AS error_code, error ->> 'message' AS error_message, failures::text AS failures,
       started_at, finished_at, due_at, event, event_key, awaits, attempt_at, count(*) OVER () AS steps
FROM shown
WHERE ($2::text IS NULL OR position = $2)
  AND ($5::text IS NULL
       OR (string_to_array(ltrim(position, '-'), '.')::int8[], position LIKE '-%')
          < (string_to_array(ltrim($5, '-'), '.')::int8[], $5 LIKE '-%'))
ORDER BY string_to_array(ltrim(position, '-'), '.')::int8[] DESC, position LIKE '-%' DESC
LIMIT $3
