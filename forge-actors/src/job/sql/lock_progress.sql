-- Called by job/store before sql/sync_progress.sql, in the same transaction: $1 ids. Primary key. Locks the
-- rows, in the order of their ids. The next statement therefore sees what was committed while this one waited;
-- of two transactions that copy the state of a job, the later one copies the newer state.
SELECT id FROM forge_job_progress WHERE id = ANY ($1) ORDER BY id FOR UPDATE
