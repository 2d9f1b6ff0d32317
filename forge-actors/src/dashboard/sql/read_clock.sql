-- Called by dashboard/nodes.rs, dashboard/leaders.rs and dashboard/workflow_bulk.rs. The clock of the
-- database; no table, no lock.
SELECT now()
