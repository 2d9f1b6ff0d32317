-- Called by workflow/check.rs: how many runs that have not ended there are of each version. Reads the table
-- of live runs whole, once for a deploy; no lock.
SELECT workflow, version, count(*) AS runs
FROM forge_workflow_runs
GROUP BY workflow, version
ORDER BY workflow, version
