-- Called by job/dependencies.rs for the settler, on the leader of `job_ends`: $1 and $2 the waiter and the
-- number after which to go on, or null, $3 how many rows to look at. Indexes forge_jobs_waiting,
-- forge_job_dependencies_open, primary key of the history; no lock. Finds jobs whose end is not recorded for
-- the jobs that wait for them, and parents that were cancelled while their children wait. A job of a chain
-- whose wait can end by a retry of the one before alone is not stranded.
WITH open AS MATERIALIZED (
    SELECT waiter_id, number, job_id
    FROM forge_job_dependencies
    WHERE ended IS NULL AND ($1::uuid IS NULL OR (waiter_id, number) > ($1, $2))
    ORDER BY waiter_id, number
    LIMIT $3
), last AS (
    SELECT waiter_id, number FROM open ORDER BY waiter_id DESC, number DESC LIMIT 1
), stranded AS (
    SELECT id
    FROM (SELECT id FROM forge_jobs WHERE waits_for_jobs ORDER BY id LIMIT $3) AS waiter
    WHERE NOT EXISTS (
        SELECT FROM forge_job_dependencies
        WHERE waiter_id = waiter.id
          AND (
              ended IS NULL
              OR kind = 'step' AND ended <> 'completed' AND NOT broke
                 AND EXISTS (SELECT FROM forge_job_history WHERE id = job_id)
          )
    )
)
SELECT (SELECT waiter_id FROM last WHERE (SELECT count(*) FROM open) >= $3) AS next_waiter,
       (SELECT number FROM last) AS next_number,
       (
           SELECT array_agg(open.job_id)
           FROM open JOIN forge_job_history history ON history.id = open.job_id
       ) AS ended,
       (
           SELECT array_agg(DISTINCT open.waiter_id)
           FROM open
           JOIN forge_job_history waiter ON waiter.id = open.waiter_id AND waiter.status = 'cancelled'
       ) AS cancelled_parents,
       (SELECT array_agg(id) FROM stranded) AS stranded,
       EXISTS (SELECT FROM open) AS is_open
