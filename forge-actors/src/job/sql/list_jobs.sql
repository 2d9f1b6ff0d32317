-- Called by job/admin.rs for forge.jobs: $1 status, $2 queue, $3 name (each may be null), $4 limit. Reads
-- both primary keys backwards, because ids sort by time, and all batch leases; no lock.
(
    SELECT id, name, queue, priority, status::text AS status, attempt, attempts_max, node_id, last_error,
           created_at, run_at, NULL AS finished_at
    FROM forge_unfinished_jobs
    WHERE ($1::text IS NULL OR status = $1::forge_job_status)
      AND ($2::text IS NULL OR queue = $2)
      AND ($3::text IS NULL OR name = $3)
    ORDER BY id DESC
    LIMIT $4
)
UNION ALL
(
    SELECT id, name, queue, priority, status::text, attempt, attempts_max, node_id, last_error,
           created_at, NULL, finished_at
    FROM forge_job_history
    WHERE ($1::text IS NULL OR status = $1::forge_job_status)
      AND ($2::text IS NULL OR queue = $2)
      AND ($3::text IS NULL OR name = $3)
    ORDER BY id DESC
    LIMIT $4
)
ORDER BY id DESC
LIMIT $4
