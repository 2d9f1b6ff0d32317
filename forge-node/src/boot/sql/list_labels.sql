-- Called by boot/drift.rs, for a node that starts and for `doctor`: every label of the application's enum
-- types, for comparison with its enums. Reads catalogs only; no lock.
SELECT type.typname::text, label.enumlabel::text
FROM pg_enum label
JOIN pg_type type ON type.oid = label.enumtypid
WHERE type.typnamespace = current_schema()::regnamespace
ORDER BY type.typname, label.enumsortorder
