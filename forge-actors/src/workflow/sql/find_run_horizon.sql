-- Called by workflow/admin/list.rs before sql/list_runs.sql: $1 where to look, $2 statuses that are read by
-- their index, $3 end of the range of ids, and how many rows of one source are read, without the last one: $4
-- by a primary key, $5 by an index whose rows lie far apart in the table. Returns the id down to which no
-- source has more rows than that; null when all of them can be read to their end. Index-only scans; no lock.
SELECT greatest(
    (
        SELECT id FROM forge_workflow_runs
        WHERE 'live' = ANY ($1::text[]) AND id < $3
        ORDER BY id DESC OFFSET $4 LIMIT 1
    ),
    (
        SELECT id FROM forge_workflow_history
        WHERE 'history' = ANY ($1) AND id < $3
        ORDER BY id DESC OFFSET $4 LIMIT 1
    ),
    (
        SELECT run.id
        FROM UNNEST($2::forge_workflow_status[]) AS parked (status)
        CROSS JOIN LATERAL (
            SELECT id FROM forge_workflow_runs
            WHERE status = parked.status AND status IN ('paused', 'diverged', 'compensation_failed')
              AND id < $3
            ORDER BY id DESC OFFSET $5 LIMIT 1
        ) AS run
        ORDER BY run.id DESC LIMIT 1
    ),
    (
        SELECT run.id
        FROM UNNEST($2::forge_workflow_status[]) AS ended (status)
        CROSS JOIN LATERAL (
            SELECT id FROM forge_workflow_history
            WHERE status = ended.status AND status IN ('failed', 'cancelled', 'terminated') AND id < $3
            ORDER BY id DESC OFFSET $5 LIMIT 1
        ) AS run
        ORDER BY run.id DESC LIMIT 1
    )
)
