-- Called by dashboard/nodes.rs and dashboard/leaders.rs. The database's clock; no table, no lock.
SELECT now()
