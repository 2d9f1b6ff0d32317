-- Called by forge.completeAudit once the command has ended; by the primary key. A row is completed once.
UPDATE forge_audit
SET outcome = CASE WHEN $2::text IS NULL THEN 'done' ELSE 'failed' END::forge_audit_outcome,
    error = $2
WHERE id = $1 AND outcome = 'underway'
