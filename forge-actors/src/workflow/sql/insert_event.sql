-- Called by workflow/insert: $1 event, $2 key, $3 the run that a signal is for, $4 idempotency key, $5 payload.
-- No row: there is an event with this idempotency key.
INSERT INTO forge_workflow_events (event, key, run_id, once, payload)
VALUES ($1, $2, $3, $4, $5::json)
ON CONFLICT (event, key, once) WHERE once IS NOT NULL DO NOTHING
RETURNING id
