-- Jobs that nodes buffer on their disks: how far each file is dispatched.

-- @up
CREATE TABLE forge_job_buffers (
    file       text        PRIMARY KEY CHECK (file <> ''),
    dispatched_bytes int8  NOT NULL CHECK (dispatched_bytes >= 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz
);
COMMENT ON TABLE forge_job_buffers IS 'Files of buffered jobs, and how far they are dispatched: written by the transactions that dispatch their jobs.';
COMMENT ON COLUMN forge_job_buffers.file IS 'Name of the file, which no other file of any node has.';
COMMENT ON COLUMN forge_job_buffers.dispatched_bytes IS 'The offset, in bytes, up to which the lines of the file are dispatched.';
COMMENT ON COLUMN forge_job_buffers.removed_at IS 'When the file was deleted. The row follows a day later.';
COMMENT ON COLUMN forge_job_dependencies.broke IS 'Of a step that has ended without success: true when the waiter does not wait for its retry, because the end has cancelled the waiter, or the history has the step no more.';

-- @down
DROP TABLE forge_job_buffers;
COMMENT ON COLUMN forge_job_dependencies.broke IS 'The job has ended without success, and its end has cancelled the waiter: a chain.';
