-- Whether event triggers report DDL. Called by the compactor before it compares definitions; scans one
-- catalog of a few rows, takes no lock.
SELECT count(*) = 2 FROM pg_event_trigger
WHERE evtname IN ('forge_definitions', 'forge_drops') AND evtenabled = 'A'
