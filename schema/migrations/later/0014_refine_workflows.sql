-- Workflows: leases that were lost without a crash, reasons that belong to a request, and the runs that one has gone on as.

-- @up
ALTER TABLE forge_workflow_owners ADD COLUMN crashed bool NOT NULL DEFAULT true;
COMMENT ON COLUMN forge_workflow_owners.crashed IS 'Of a lost lease: its process was gone. False of one that was given up, or that has run out while its process may have been alive, as in an outage of the database: the ends of its runs are not counted as crashes.';

UPDATE forge_workflow_runs SET cancel_reason = NULL WHERE request IS DISTINCT FROM 'cancel' AND cancel_reason IS NOT NULL;
ALTER TABLE forge_workflow_runs ADD CONSTRAINT forge_workflow_runs_reason CHECK (cancel_reason IS NULL OR request IS NOT DISTINCT FROM 'cancel');
COMMENT ON COLUMN forge_workflow_runs.cancel_reason IS 'Of a request to cancel: by whom, and why; the message of the failure ends so. Null when nobody has said it.';

-- A set of rows, which planners put into the statement that asks.
CREATE FUNCTION forge_newest_workflow_run(run uuid) RETURNS TABLE (id uuid) LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE chain AS (
        SELECT $1 AS id, 0 AS link
        UNION ALL
        SELECT next.id, chain.link + 1
        FROM chain
        CROSS JOIN LATERAL (
            SELECT live.id FROM forge_workflow_runs live WHERE live.continues = chain.id
            UNION ALL
            SELECT ended.id FROM forge_workflow_history ended WHERE ended.continues = chain.id
        ) AS next
    )
    SELECT chain.id FROM chain WHERE chain.link > 0 ORDER BY chain.link DESC LIMIT 1;
END;
COMMENT ON FUNCTION forge_newest_workflow_run(uuid) IS 'The newest of the runs that a run has gone on as; no row where it has not.';

-- @down
DROP FUNCTION forge_newest_workflow_run(uuid);
COMMENT ON COLUMN forge_workflow_runs.cancel_reason IS 'By whom it was asked to cancel, and why: the message of its failure ends so. Null when nobody has said it.';
ALTER TABLE forge_workflow_runs DROP CONSTRAINT forge_workflow_runs_reason;
ALTER TABLE forge_workflow_owners DROP COLUMN crashed;
