-- Called by job/dependencies.rs for a dispatch of jobs that wait for each other, in its transaction: $1
-- waiters, $2 numbers, $3 jobs that they wait for, $4 names of their handlers, $5 kinds. Appends to
-- forge_job_dependencies and its indexes; locks only its own rows.
INSERT INTO forge_job_dependencies (waiter_id, number, job_id, name, kind)
SELECT waiter_id, number, job_id, name, kind::forge_job_dependency_kind
FROM UNNEST($1::uuid[], $2::int4[], $3::uuid[], $4::text[], $5::text[])
    AS dependency (waiter_id, number, job_id, name, kind)
