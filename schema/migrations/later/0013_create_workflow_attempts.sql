-- Attempts at steps of workflows that are under way, so that people see what a run does before its journal says it.

-- @up
CREATE TABLE forge_workflow_attempts (
    run_id   uuid                     NOT NULL,
    position text COLLATE "C"         NOT NULL,
    owner_id int8                     NOT NULL,
    claim    int4                     NOT NULL,
    kind     forge_workflow_step_kind NOT NULL,
    name     text                     NOT NULL,
    attempt  int4                     NOT NULL CHECK (attempt > 0),
    began_at timestamptz              NOT NULL,
    PRIMARY KEY (run_id, position)
)
WITH (autovacuum_vacuum_threshold = 2000, autovacuum_analyze_threshold = 2000);
COMMENT ON TABLE forge_workflow_attempts IS 'Attempts at steps that have been executing for a second. Their owner writes which they are, at most twice a second; the journal knows nothing of them. A row says nothing any more when its run has another claim, or its step has ended or spent that attempt.';
COMMENT ON COLUMN forge_workflow_attempts.owner_id IS 'The lease of the node that executes it. The row of a lost lease stays: its attempt was cut off.';
COMMENT ON COLUMN forge_workflow_attempts.claim IS 'The activation of the run that has begun the attempt.';
CREATE INDEX forge_workflow_attempts_owner ON forge_workflow_attempts (owner_id);

-- @down
DROP TABLE forge_workflow_attempts;
