-- Called by job/store for the settler, on the leader of `job_ends`: $1 the id after which to go on, or null,
-- $2 how many rows to look at. Index forge_job_progress_unfinished, primary keys; reads all batch leases when a
-- job is neither in forge_jobs nor in the history. No lock. Finds the jobs whose progress says otherwise than
-- the tables of jobs, and those that are gone. Returns the id of forge_job_progress: its hints tell the
-- settler when to check again.
WITH known AS MATERIALIZED (
    SELECT id, status, run_at FROM forge_job_progress
    WHERE finished_at IS NULL AND ($1::uuid IS NULL OR id > $1)
    ORDER BY id
    LIMIT $2
)
SELECT 'forge_job_progress'::regclass::oid::int8 AS progress_table,
       EXISTS (SELECT FROM known) AS is_open,
       (SELECT max(id::text)::uuid FROM known HAVING count(*) >= $2) AS next,
       (
           SELECT array_agg(known.id)
           FROM known
           LEFT JOIN forge_jobs job ON job.id = known.id
           LEFT JOIN forge_job_history history ON history.id = known.id
           WHERE history.id IS NOT NULL
              OR (job.status, coalesce(job.due_at, job.run_at)) IS DISTINCT FROM (known.status, known.run_at)
                 AND job.status IN ('pending', 'retry')
       ) AS unsettled,
       (
           SELECT array_agg(known.id)
           FROM known
           LEFT JOIN forge_jobs job ON job.id = known.id
           LEFT JOIN forge_job_history history ON history.id = known.id
           WHERE job.id IS NULL AND history.id IS NULL
             AND known.id NOT IN (
                 SELECT held.id FROM forge_job_leases lease CROSS JOIN LATERAL unnest(lease.jobs) AS held
             )
       ) AS gone
