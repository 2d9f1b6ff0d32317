-- Called by job/store for the settler: $1 ids of jobs that are in no table any more. Primary keys; locks the
-- rows that it deletes.
WITH gone AS (
    DELETE FROM forge_job_progress WHERE id = ANY ($1)
)
DELETE FROM forge_job_log WHERE job_id = ANY ($1)
