-- Called by workflow/store for the router: $1 events at most. Index forge_workflow_events_unrouted; locks the
-- events, skips those that another router has locked. Runs that wait for one of them are made due, and those that
-- are compensated when the last of their children has ended: they wait for them before that. The ends of runs and
-- jobs are deleted, since a run that begins to wait for one looks for it where it is kept. A signal to a run that has
-- gone on is passed on to the newest run, and routed by the next look. Locks the runs in the order of their ids, as
-- sql/leave_runs.sql does. Primary keys, and the indexes forge_workflow_steps_event, forge_workflow_steps_awaits,
-- forge_workflow_runs_parent, forge_workflow_runs_continues and forge_workflow_history_continues.
WITH picked AS MATERIALIZED (
    SELECT id, event, key, run_id, CASE WHEN event IN ('forge.run', 'forge.job') THEN key::uuid END AS ended
    FROM forge_workflow_events
    WHERE NOT routed
    ORDER BY id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), forwarded AS MATERIALIZED (
    SELECT picked.id, newest.id AS run_id
    FROM picked
    CROSS JOIN LATERAL forge_newest_workflow_run(picked.run_id) AS newest
    WHERE picked.run_id IS NOT NULL AND picked.ended IS NULL
), passed_on AS (
    -- The next look routes it, to the run that has it then.
    UPDATE forge_workflow_events event
    SET key = forwarded.run_id::text, run_id = forwarded.run_id
    FROM forwarded
    WHERE event.id = forwarded.id
), marked AS (
    UPDATE forge_workflow_events event
    SET routed = true, routed_at = clock_timestamp()
    FROM picked
    WHERE event.id = picked.id AND picked.ended IS NULL AND NOT EXISTS (SELECT FROM forwarded WHERE id = picked.id)
), deleted AS (
    DELETE FROM forge_workflow_events WHERE id IN (SELECT id FROM picked WHERE ended IS NOT NULL)
), waiting AS (
    SELECT step.run_id
    FROM picked
    JOIN forge_workflow_steps step ON step.event = picked.event AND step.event_key = picked.key
    WHERE step.status = 'waiting' AND step.event IS NOT NULL
    UNION
    SELECT step.run_id
    FROM picked
    JOIN forge_workflow_steps step ON step.awaits = picked.ended
    WHERE step.status = 'waiting' AND step.awaits IS NOT NULL
    UNION
    SELECT parent.id
    FROM picked
    JOIN forge_workflow_history child ON child.id = picked.ended
    JOIN forge_workflow_runs parent ON parent.id = child.parent_id
    WHERE picked.event = 'forge.run' AND parent.ending IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM forge_workflow_runs other WHERE other.parent_id = parent.id AND other.parent_policy = 'cancel'
      )
), locked AS MATERIALIZED (
    SELECT run.id
    FROM forge_workflow_runs run
    WHERE run.id IN (SELECT run_id FROM waiting)
    ORDER BY run.id
    FOR NO KEY UPDATE
), woken AS (
    UPDATE forge_workflow_runs run
    SET wakes = run.wakes + 1,
        status = CASE WHEN run.status = 'waiting' THEN 'ready'::forge_workflow_status ELSE run.status END,
        due_at = CASE WHEN run.status = 'waiting' THEN clock_timestamp() ELSE run.due_at END
    FROM locked
    WHERE run.id = locked.id
    RETURNING run.id, run.owner_id
)
SELECT (SELECT count(*) FROM picked) AS events, (SELECT array_agg(id) FROM woken WHERE owner_id IS NOT NULL) AS held,
       (SELECT count(*) FROM woken WHERE owner_id IS NULL) AS ready
