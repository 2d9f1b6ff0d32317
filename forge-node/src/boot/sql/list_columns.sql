-- Called by boot/drift.rs, for a node that starts and for `doctor`: every column of the application's tables,
-- for comparison with its models. Reads catalogs only; no lock.
SELECT class.relname::text,
       attribute.attname::text,
       format_type(attribute.atttypid, attribute.atttypmod),
       NOT attribute.attnotnull
FROM pg_attribute attribute
JOIN pg_class class ON class.oid = attribute.attrelid
WHERE class.relnamespace = current_schema()::regnamespace
AND class.relkind IN ('r', 'p')
AND attribute.attnum > 0
AND NOT attribute.attisdropped
ORDER BY class.relname, attribute.attnum
