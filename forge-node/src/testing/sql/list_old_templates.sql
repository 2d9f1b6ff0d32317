-- Called by testing/template.rs when a template was made: $1 the new template, $2 seconds after which another
-- one is old. Reads the catalog of databases; no lock. The comment of a template is the second in which it
-- was made.
SELECT datname::text
FROM pg_database
WHERE datname LIKE 'forge\_template\_%' AND datname <> $1
  AND CASE WHEN shobj_description(oid, 'pg_database') ~ '^[0-9]{1,12}$'
           THEN shobj_description(oid, 'pg_database')::int8 < extract(epoch FROM now()) - $2
           ELSE false END
