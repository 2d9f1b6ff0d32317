-- Lists the relations whose every change is recorded: those with all triggers, and materialized views where
-- an event trigger reports their REFRESH. Called by the reactor when definitions changed; scans pg_trigger
-- and pg_class, takes no lock.
SELECT tgrelid FROM pg_trigger WHERE tgname = 'forge_capture_update' AND forge_capture_of(tgrelid) IS NOT NULL
UNION
SELECT oid FROM pg_class
WHERE relkind = 'm'
    AND EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'forge_definitions' AND evtenabled = 'A')
