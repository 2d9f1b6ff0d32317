-- Every relation whose changes leave a trace: those with all triggers, and materialized views where the event trigger sees their REFRESH. Called by
-- the reactor when definitions changed; reads pg_trigger and pg_class whole, takes no lock.
SELECT tgrelid FROM pg_trigger WHERE tgname = 'forge_capture_update' AND forge_capture_of(tgrelid) IS NOT NULL
UNION
SELECT oid FROM pg_class
WHERE relkind = 'm' AND EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'forge_definitions' AND evtenabled = 'A')
