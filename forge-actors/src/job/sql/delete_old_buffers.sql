-- Called by job/store for the duty history_expiry: $1 rows at most. Reads the table, which has a row for each
-- outage that a node has bridged of late; skips rows that dispatches have locked. A deleted file may still be
-- open in a process that was cut off from the disk, which must find the row: hence the day. The year is for
-- files that are not deleted: their nodes are down, or their disks lost.
DELETE FROM forge_job_buffers
WHERE file IN (
    SELECT file FROM forge_job_buffers
    WHERE coalesce(removed_at + interval '1 day', updated_at + interval '1 year') < now()
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
