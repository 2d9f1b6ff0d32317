-- Called by cron/manage.rs: $1 name, $2 tenant, or null. Index forge_crons_name; no lock.
SELECT id, expression, timezone, now() AS now FROM forge_crons
WHERE source = 'application' AND coalesce(tenant, '') = coalesce($2, '') AND name = $1
