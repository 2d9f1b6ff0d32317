-- Called by forge.audit. Reads the newest rows by the index on `at`; no lock.
SELECT id, at, subject, action, node_id, target, outcome::text AS outcome, error
FROM forge_audit
ORDER BY at DESC, id DESC
LIMIT $1
