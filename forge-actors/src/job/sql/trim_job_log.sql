-- Called by job/store for the reporter, after sql/write_job_log.sql in the same transaction: $1 ids, $2 how
-- many lines are kept of each job: the last ones. Primary key; locks the rows that it deletes.
DELETE FROM forge_job_log line
USING UNNEST($1::uuid[]) AS job (id)
CROSS JOIN LATERAL (
    SELECT claim, number FROM forge_job_log
    WHERE job_id = job.id
    ORDER BY claim DESC, number DESC
    OFFSET $2
    LIMIT 1
) AS newest_to_go
WHERE line.job_id = job.id AND (line.claim, line.number) <= (newest_to_go.claim, newest_to_go.number)
