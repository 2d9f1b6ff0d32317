-- Called by cron/manage.rs before an application's schedule is created: $1 tenant, or null, $2 its name.
-- Index forge_crons_name; no lock: calls that create at the same moment may exceed the limit by their
-- number.
SELECT count(*) AS count, now() AS now FROM forge_crons
WHERE source = 'application' AND coalesce(tenant, '') = coalesce($1, '') AND name <> $2
