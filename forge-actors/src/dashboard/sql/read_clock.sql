-- Called by dashboard/nodes.rs. The database's clock; no table, no lock.
SELECT now()
