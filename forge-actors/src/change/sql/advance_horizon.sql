-- Records which transactions have ended by now, unless a record of the last $2 seconds exists, and moves the
-- horizon to those that had ended $1 seconds ago. Called by the compactor under its advisory lock; writes one
-- small table and the row of forge_change_state.
--
-- Marks and a horizon beyond the present came in a dump of another server, and are deleted.
WITH present AS MATERIALIZED (
    SELECT pg_snapshot_xmin(pg_current_snapshot()) AS oldest, pg_snapshot_xmax(pg_current_snapshot()) AS next
), marked AS (
    INSERT INTO forge_change_marks (ended_before)
    SELECT oldest FROM present
    WHERE NOT EXISTS (SELECT FROM forge_change_marks WHERE at > now() - make_interval(secs => $2))
    ON CONFLICT (at) DO NOTHING
), passed AS MATERIALIZED (
    SELECT at, ended_before FROM forge_change_marks, present
    WHERE at <= now() - make_interval(secs => $1) AND ended_before <= next ORDER BY at DESC LIMIT 1
), expired AS (
    DELETE FROM forge_change_marks USING present
    WHERE ended_before > next OR at <= (SELECT at FROM passed)
), goal AS (
    SELECT greatest(
        (SELECT ended_before FROM passed),
        CASE WHEN horizon <= next THEN horizon ELSE '0' END
    ) AS horizon
    FROM forge_change_state, present
)
UPDATE forge_change_state AS state SET horizon = goal.horizon FROM goal
WHERE state.horizon IS DISTINCT FROM goal.horizon
