-- Called by job/inline for tests: $1 seconds. Lets that time pass for the jobs that wait for theirs.
UPDATE forge_jobs SET run_at = run_at - make_interval(secs => $1) WHERE NOT ready AND node_id IS NULL
