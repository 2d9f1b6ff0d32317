-- Called by cmd/doctor/database.rs: the tables whose changes are captured, or are to be captured ($1), and into
-- which a subscription of logical replication writes. Reads catalogs only; no lock.
SELECT DISTINCT srrelid::regclass::text
FROM pg_subscription_rel
WHERE forge_capture_of(srrelid) IS NOT NULL
   OR srrelid IN (SELECT to_regclass(quote_ident(name)) FROM unnest($1::text[]) AS name)
ORDER BY 1
