-- Called by workflow/store for the claimer, at each poll: $1 and $2 names and versions of the workflows that
-- this binary has code for, $3 this node, $4 seconds after which a lease that was not renewed is suspected.
-- `next_due`: seconds until the next run is due. `next_suspect`: seconds until the rescuer may look at a lease
-- of another process, or at one of this node that has run out; 0 while the runs of a lost lease are not
-- released. Indexes forge_workflow_runs_due (a row for each version), forge_workflow_events_unrouted; all of
-- forge_workflow_owners, a row for each busy node.
SELECT (
    SELECT extract(epoch FROM min(run.due_at) - now())::float8
    FROM unnest($1::text[], $2::int4[]) AS code (workflow, version)
    CROSS JOIN LATERAL (
        SELECT due_at
        FROM forge_workflow_runs run
        WHERE run.workflow = code.workflow AND run.version = code.version
          AND run.status IN ('ready', 'waiting') AND run.due_at < 'infinity'
        ORDER BY run.due_at
        LIMIT 1
    ) AS run
) AS next_due, (
    SELECT extract(epoch FROM min(CASE
               WHEN lost_at IS NOT NULL THEN now() - make_interval(secs => $4)
               WHEN node_id = $3 THEN expires_at - make_interval(secs => $4)
               ELSE renewed_at
           END) - now())::float8 + $4
    FROM forge_workflow_owners
) AS next_suspect, EXISTS (SELECT FROM forge_workflow_events WHERE NOT routed) AS has_events
