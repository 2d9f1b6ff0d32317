-- Called by workflow/store for the router: $1 events at most. Index forge_workflow_events_unrouted; locks the
-- events, skips those that another router has locked. Runs that wait for one of them are made due. Locks the
-- runs in the order of their ids, as sql/leave_runs.sql does.
WITH picked AS MATERIALIZED (
    SELECT id, event, key
    FROM forge_workflow_events
    WHERE NOT routed
    ORDER BY id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE forge_workflow_events event SET routed = true, routed_at = clock_timestamp() FROM picked WHERE event.id = picked.id
), waiting AS (
    SELECT step.run_id
    FROM picked
    JOIN forge_workflow_steps step ON step.event = picked.event AND step.event_key = picked.key
    WHERE step.status = 'waiting' AND step.event IS NOT NULL
    UNION
    SELECT step.run_id
    FROM picked
    JOIN forge_workflow_steps step
        ON step.awaits = CASE WHEN picked.event IN ('forge.run', 'forge.job') THEN picked.key::uuid END
    WHERE step.status = 'waiting' AND step.awaits IS NOT NULL
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
