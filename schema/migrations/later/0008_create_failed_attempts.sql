-- Why the attempts at jobs failed: forge_jobs and forge_job_history have the last error only.

-- @up
CREATE TABLE forge_failed_attempts (
    job_id    uuid        NOT NULL,
    claim     int4        NOT NULL,
    attempt   int4        NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now(),
    error     text        NOT NULL,
    PRIMARY KEY (job_id, claim)
);
COMMENT ON TABLE forge_failed_attempts IS 'The attempts at jobs that have failed. They are deleted with the row of the job in forge_job_history.';
COMMENT ON COLUMN forge_failed_attempts.claim IS 'Grows from one attempt at the job to the next, also when the job gets all of its attempts again.';

-- @down
DROP TABLE forge_failed_attempts;
