-- Called by forge.recordAudit before an action begins. Takes no lock beyond its own row.
INSERT INTO forge_audit (id, subject, action, node_id, target) VALUES ($1, $2, $3, $4, $5)
