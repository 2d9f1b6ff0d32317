-- Called by workflow/store for the rescuer: $1 seconds after which a lease that was not renewed is suspected,
-- $2 whether sessions of nodes may be looked at, $3 the end of the names of this node's sessions. A lease is
-- lost when it has run out, or when it is suspected and the server has no session of its node (as long as the
-- server shows those of this node). `crashed`: its process was gone. A lease that has run out while its process
-- was, or may have been, alive, as in an outage of the database, says nothing about its runs. Locks the rows for
-- update: an owner whose write is under way is left for the next look.
WITH dead AS MATERIALIZED (
    SELECT owner.id, process.is_gone
    FROM forge_workflow_owners owner
    CROSS JOIN LATERAL (
        SELECT $2 AND EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE '%' || $3)
               AND NOT EXISTS (
                   SELECT FROM pg_stat_activity
                   WHERE application_name LIKE '% #' || right(replace(owner.node_id::text, '-', ''), 12)
               ) AS is_gone
        OFFSET 0
    ) AS process
    WHERE owner.lost_at IS NULL
      AND (owner.expires_at < clock_timestamp()
           OR owner.renewed_at < clock_timestamp() - make_interval(secs => $1) AND process.is_gone)
    ORDER BY owner.id
    FOR UPDATE OF owner SKIP LOCKED
)
UPDATE forge_workflow_owners owner
SET lost_at = clock_timestamp(), crashed = dead.is_gone
FROM dead
WHERE owner.id = dead.id
RETURNING owner.node_name
