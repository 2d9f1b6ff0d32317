-- Called by workflow/admin/history.rs for forge.workflowHistory: $1 run, $2 position behind which the part
-- begins, $3 rows at most, $4 bytes of results after which the part ends. Primary key, in its order; no lock.
SELECT position, kind, status, name, shape, number, output, error, finished_at, awaits
FROM (
    SELECT step.*,
           sum(coalesce(octet_length(output), 0) + coalesce(octet_length(error), 0))
               OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
    FROM (
        SELECT position, kind::text AS kind, status::text AS status, name, shape, number, output::text AS output,
               error::text AS error, finished_at, awaits
        FROM forge_workflow_steps
        WHERE run_id = $1 AND position > $2
        ORDER BY position
        LIMIT $3
    ) AS step
) AS part
WHERE coalesce(bytes_before, 0) < $4
ORDER BY position
