-- Called by job/admin/matches.rs for forge.countJobs: $1 where to look: `waiting`, `failing`, `held`,
-- `history`; $2 statuses of the history that are read by their index. The filter, each part may be null: $3
-- statuses, $4 how the job waits, $5 queue, $6 name, $7 handlers whose arguments may be searched, $8 paths
-- and $9 values of arguments, $10 tenant, $11 text in lower case. Reads the tables whole, but for failures,
-- whose index forge_job_history_unsuccessful finds them; no lock. A person asks for it once, before a bulk: 2
-- s on 2 M waiting and 3 M finished rows, 0.7 s for failures, 10 s where arguments are compared.
SELECT status::text AS status, count(*) AS jobs
FROM (
    SELECT id, name, queue, status, last_error, identity, args, blocked_by, waits_for_jobs, ready,
           coalesce(due_at, run_at) AS run_at
    FROM forge_jobs
    WHERE 'waiting' = ANY ($1::text[])
       OR ('failing' = ANY ($1) AND last_error IS NOT NULL)
       OR ('held' = ANY ($1) AND node_id IS NOT NULL)
    UNION ALL
    SELECT id, name, queue, status, last_error, identity, args, NULL, NULL, ready, run_at
    FROM forge_unfinished_jobs
    WHERE ('held' = ANY ($1) OR 'waiting' = ANY ($1)) AND lease_id IS NOT NULL
    UNION ALL
    SELECT id, name, queue, status, last_error, identity, args, NULL, NULL, false, NULL
    FROM forge_job_history
    WHERE 'history' = ANY ($1)
    UNION ALL
    SELECT id, name, queue, status, last_error, identity, args, NULL, NULL, false, NULL
    FROM forge_job_history
    WHERE status = ANY ($2::text[]::forge_job_status[]) AND status <> 'completed'
) AS job
WHERE ($3::text[] IS NULL OR status::text = ANY ($3))
  AND ($4::text IS NULL OR (status IN ('pending', 'retry') AND $4 = CASE
      WHEN blocked_by IS NOT NULL OR waits_for_jobs THEN 'blocked'
      WHEN ready OR run_at <= now() THEN 'due'
      ELSE 'scheduled'
  END))
  AND ($5::text IS NULL OR queue = $5)
  AND ($6::text IS NULL OR name = $6)
  AND ($7::text[] IS NULL OR (name = ANY ($7) AND NOT EXISTS (
      SELECT FROM UNNEST($8::text[], $9::text[]) AS argument (path, value)
      WHERE (args #>> string_to_array(argument.path, '.')) IS DISTINCT FROM argument.value
  )))
  AND ($10::text IS NULL OR identity ->> 'tenant' = $10)
  AND ($11::text IS NULL OR strpos(lower(name), $11) > 0 OR strpos(lower(last_error), $11) > 0
      OR ($11 ~ '^[0-9a-f-]+$' AND strpos(id::text, $11) > 0))
GROUP BY status
