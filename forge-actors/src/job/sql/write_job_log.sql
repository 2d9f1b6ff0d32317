-- Called by job/store for the reporter, after sql/write_progress.sql in the same transaction: $1 ids, $2
-- claims, $3 numbers, $4 seconds since the line was logged, $5 levels, $6 lines. Both primary keys; locks
-- only its own rows. Lines of an attempt whose job was claimed again are left out. The statement may be
-- repeated.
INSERT INTO forge_job_log (job_id, claim, number, at, level, line)
SELECT logged.id, logged.claim, logged.number, now() - make_interval(secs => logged.age),
       logged.level::forge_job_log_level, logged.line
FROM UNNEST($1::uuid[], $2::int4[], $3::int4[], $4::float8[], $5::text[], $6::text[])
    AS logged (id, claim, number, age, level, line)
JOIN forge_job_progress known ON known.id = logged.id AND known.claim <= logged.claim
ON CONFLICT (job_id, claim, number) DO NOTHING
