-- Called by job/ends.rs, while calls wait for jobs: $1 ids. Primary key; no lock. One row at least: without
-- an end it says what the table is, by whose hints the caller knows when to look again.
SELECT 'forge_job_progress'::regclass::oid::int8 AS progress_table, known.id, known.status::text AS status,
       known.result::text AS result, known.failure
FROM (SELECT) AS one
LEFT JOIN forge_job_progress known ON known.id = ANY ($1) AND known.finished_at IS NOT NULL
