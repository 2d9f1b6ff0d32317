-- Whether DDL reports itself. Called by the compactor before it looks for changed definitions; one catalog of a few rows, no lock.
SELECT count(*) = 2 FROM pg_event_trigger WHERE evtname IN ('forge_definitions', 'forge_drops') AND evtenabled = 'A'
