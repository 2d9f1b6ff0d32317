-- Workflows: a small hot table of runs that have not ended, the journal of their steps, the history of those that have, and the events
-- that runs wait for.

-- @up
CREATE TYPE forge_workflow_status AS ENUM ('ready', 'running', 'waiting', 'paused', 'diverged', 'compensation_failed',
                                           'completed', 'failed', 'cancelled', 'terminated', 'continued');
CREATE TYPE forge_workflow_request AS ENUM ('pause', 'cancel');
CREATE TYPE forge_workflow_parent_policy AS ENUM ('cancel', 'abandon');
CREATE TYPE forge_workflow_step_kind AS ENUM ('call', 'closure', 'transaction', 'sleep', 'event', 'signal', 'child', 'job', 'race',
                                              'compensation');
CREATE TYPE forge_workflow_step_status AS ENUM ('running', 'retrying', 'waiting', 'completed', 'failed', 'skipped', 'abandoned');

CREATE TABLE forge_workflow_owners (
    id         int8        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node_id    uuid        NOT NULL,
    node_name  text        NOT NULL CHECK (node_name <> ''),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    lost_at    timestamptz
)
WITH (fillfactor = 50);
COMMENT ON TABLE forge_workflow_owners IS 'Leases of nodes that run workflows. A write about a run locks the row of its owner for key share; taking the runs of an owner over locks that row for update and sets lost_at first. So no write of an owner is committed after its lease was taken.';
COMMENT ON COLUMN forge_workflow_owners.id IS 'The fencing number of all runs that this owner holds; a process that lost its lease goes on under a new one.';
COMMENT ON COLUMN forge_workflow_owners.lost_at IS 'Since when its runs may be taken; never set back.';

CREATE TABLE forge_workflow_runs (
    id              uuid                         PRIMARY KEY,
    workflow        text                         NOT NULL CHECK (workflow <> ''),
    version         int4                         NOT NULL CHECK (version > 0),
    key             text,
    status          forge_workflow_status        NOT NULL DEFAULT 'ready',
    due_at          timestamptz                  NOT NULL,
    owner_id        int8,
    claim           int4                         NOT NULL DEFAULT 0,
    wakes           int4                         NOT NULL DEFAULT 0,
    request         forge_workflow_request,
    cancel_reason   text,
    ending          forge_workflow_status,
    error           json,
    input           json                         NOT NULL,
    identity        json,
    trace           text,
    created_at      timestamptz                  NOT NULL DEFAULT clock_timestamp(),
    begun_at        timestamptz,
    deadline_at     timestamptz,
    parent_id       uuid,
    parent_position text                         COLLATE "C",
    parent_policy   forge_workflow_parent_policy,
    awaited         bool                         NOT NULL DEFAULT false,
    followed        bool                         NOT NULL DEFAULT false,
    retain_secs     float8,
    attributes      jsonb,
    published       json,
    steps           int4                         NOT NULL DEFAULT 0,
    journal_bytes   int8                         NOT NULL DEFAULT 0,
    continues       uuid,
    crashes         int4                         NOT NULL DEFAULT 0,
    crashed_at      timestamptz,
    events_from     timestamptz,
    consumed        int8[],
    CONSTRAINT forge_workflow_runs_live CHECK (status IN ('ready', 'running', 'waiting', 'paused', 'diverged', 'compensation_failed')),
    CONSTRAINT forge_workflow_runs_owned CHECK ((status = 'running') = (owner_id IS NOT NULL)),
    CONSTRAINT forge_workflow_runs_ending CHECK (ending IN ('failed', 'cancelled')),
    CONSTRAINT forge_workflow_runs_why CHECK ((ending IS NULL AND status NOT IN ('diverged', 'compensation_failed')) OR error IS NOT NULL),
    CONSTRAINT forge_workflow_runs_child CHECK ((parent_id IS NULL) = (parent_policy IS NULL))
)
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
      autovacuum_analyze_scale_factor = 0.1);
COMMENT ON TABLE forge_workflow_runs IS 'Runs that have not ended. Ending one moves its row to forge_workflow_history.';
COMMENT ON COLUMN forge_workflow_runs.due_at IS 'When it is to be claimed, by the clock of the database; infinity while it waits for an event without a timeout.';
COMMENT ON COLUMN forge_workflow_runs.claim IS 'Counts the claims of the run. A node names it with owner_id in each write, so that a write of an earlier claim is refused.';
COMMENT ON COLUMN forge_workflow_runs.wakes IS 'Counts what has come for waits of the run: events, signals, ends of children and jobs. A node that lets the run wait compares it with the count that it has read.';
COMMENT ON COLUMN forge_workflow_runs.request IS 'What a person, or the end of its parent, has asked of the run, and its node has not done yet: pause or cancel.';
COMMENT ON COLUMN forge_workflow_runs.cancel_reason IS 'By whom it was asked to cancel, and why: the message of its failure ends so. Null when nobody has said it.';
COMMENT ON COLUMN forge_workflow_runs.ending IS 'Set while completed steps are compensated: how the run ends then, and error says why.';
COMMENT ON COLUMN forge_workflow_runs.steps IS 'Rows of its journal when its owner left it last.';
COMMENT ON COLUMN forge_workflow_runs.followed IS 'Clients may follow it: what becomes of it is copied to forge_workflow_progress.';
COMMENT ON COLUMN forge_workflow_runs.continues IS 'The run before this one, which has gone on as this one.';
COMMENT ON COLUMN forge_workflow_runs.crashes IS 'Activations that have ended without the run having left, since its last step ended: its node was lost, or the activation failed.';
COMMENT ON COLUMN forge_workflow_runs.crashed_at IS 'When the last of them was noticed.';
COMMENT ON COLUMN forge_workflow_runs.events_from IS 'Events that were routed before this are not received; null stands for created_at. Set where it goes on for an earlier run.';
COMMENT ON COLUMN forge_workflow_runs.consumed IS 'Events since events_from that the runs for which it goes on have received.';
CREATE INDEX forge_workflow_runs_due ON forge_workflow_runs (workflow, version, due_at) WHERE status IN ('ready', 'waiting');
CREATE INDEX forge_workflow_runs_owned_by ON forge_workflow_runs (owner_id) WHERE owner_id IS NOT NULL;
CREATE INDEX forge_workflow_runs_parent ON forge_workflow_runs (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX forge_workflow_runs_key ON forge_workflow_runs (workflow, key) WHERE key IS NOT NULL;
CREATE INDEX forge_workflow_runs_attributes ON forge_workflow_runs USING gin (attributes jsonb_path_ops) WHERE attributes IS NOT NULL;
CREATE INDEX forge_workflow_runs_parked ON forge_workflow_runs (status, id) WHERE status IN ('paused', 'diverged', 'compensation_failed');
CREATE INDEX forge_workflow_runs_continues ON forge_workflow_runs (continues) WHERE continues IS NOT NULL;

CREATE TABLE forge_workflow_steps (
    run_id      uuid                       NOT NULL,
    position    text                       COLLATE "C" NOT NULL,
    kind        forge_workflow_step_kind   NOT NULL,
    status      forge_workflow_step_status NOT NULL,
    name        text                       NOT NULL,
    shape       int8                       NOT NULL,
    attempts    int4                       NOT NULL DEFAULT 1,
    number      int4,
    input       json,
    output      json,
    error       json,
    failures    jsonb,
    started_at  timestamptz                NOT NULL,
    finished_at timestamptz,
    due_at      timestamptz,
    event       text,
    event_key   text,
    event_id    int8,
    awaits      uuid,
    PRIMARY KEY (run_id, position),
    CONSTRAINT forge_workflow_steps_finished CHECK ((status IN ('completed', 'failed', 'skipped', 'abandoned')) = (finished_at IS NOT NULL)),
    CONSTRAINT forge_workflow_steps_event CHECK ((event IS NULL) = (event_key IS NULL))
)
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE forge_workflow_steps IS 'The journal: what the steps of runs have returned, and what runs wait for. No foreign key: the run is in forge_workflow_runs or in the history.';
COMMENT ON COLUMN forge_workflow_steps.position IS 'Place in the code: 4, or 5.0.1 for the first step of the first branch of a group.';
COMMENT ON COLUMN forge_workflow_steps.shape IS 'Hash of the form of arguments and result; other code has another one.';
COMMENT ON COLUMN forge_workflow_steps.number IS 'The order in which steps have ended, from 1; compensation goes backwards.';
COMMENT ON COLUMN forge_workflow_steps.failures IS 'Failed attempts, the last ones: when, and why.';
COMMENT ON COLUMN forge_workflow_steps.event_id IS 'The event that was consumed; an event is consumed once by a run.';
CREATE INDEX forge_workflow_steps_event ON forge_workflow_steps (event, event_key) WHERE status = 'waiting' AND event IS NOT NULL;
CREATE UNIQUE INDEX forge_workflow_steps_consumed ON forge_workflow_steps (run_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX forge_workflow_steps_awaits ON forge_workflow_steps (awaits) WHERE status = 'waiting' AND awaits IS NOT NULL;

CREATE TABLE forge_workflow_history (
    id              uuid                  PRIMARY KEY,
    workflow        text                  NOT NULL CHECK (workflow <> ''),
    version         int4                  NOT NULL,
    key             text,
    status          forge_workflow_status NOT NULL,
    claim           int4                  NOT NULL,
    error           json,
    output          json,
    input           json                  NOT NULL,
    identity        json,
    trace           text,
    created_at      timestamptz           NOT NULL,
    begun_at        timestamptz,
    finished_at     timestamptz           NOT NULL DEFAULT clock_timestamp(),
    expires_at      timestamptz           NOT NULL,
    deadline_at     timestamptz,
    parent_id       uuid,
    parent_position text                  COLLATE "C",
    followed        bool                  NOT NULL,
    attributes      jsonb,
    published       json,
    steps           int4                  NOT NULL,
    journal_bytes   int8                  NOT NULL,
    continues       uuid,
    CONSTRAINT forge_workflow_history_ended CHECK (status IN ('completed', 'failed', 'cancelled', 'terminated', 'continued')),
    CONSTRAINT forge_workflow_history_why CHECK (status <> 'failed' OR error IS NOT NULL)
);
COMMENT ON TABLE forge_workflow_history IS 'Runs that have ended, kept with their journal until expires_at.';
CREATE INDEX forge_workflow_history_expires_at ON forge_workflow_history (expires_at);
CREATE INDEX forge_workflow_history_finished_at ON forge_workflow_history USING brin (finished_at) WITH (autosummarize = on);
CREATE INDEX forge_workflow_history_unsuccessful ON forge_workflow_history (status, id) WHERE status IN ('failed', 'cancelled', 'terminated');
CREATE INDEX forge_workflow_history_parent ON forge_workflow_history (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX forge_workflow_history_attributes ON forge_workflow_history USING gin (attributes jsonb_path_ops) WHERE attributes IS NOT NULL;
CREATE INDEX forge_workflow_history_continues ON forge_workflow_history (continues) WHERE continues IS NOT NULL;

CREATE TABLE forge_workflow_keys (
    workflow text NOT NULL,
    tenant   text NOT NULL,
    key      text NOT NULL,
    run_id   uuid NOT NULL,
    PRIMARY KEY (workflow, tenant, key)
);
COMMENT ON TABLE forge_workflow_keys IS 'The run that was started last with this id of the application, by a caller of this tenant; empty for callers without one. No foreign key: the run is in forge_workflow_runs or in the history; the key goes with the history.';
CREATE INDEX forge_workflow_keys_run ON forge_workflow_keys (run_id);

CREATE TABLE forge_workflow_events (
    id         int8        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event      text        NOT NULL CHECK (event <> ''),
    key        text        NOT NULL,
    run_id     uuid,
    once       text,
    payload    json        NOT NULL,
    emitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    routed     bool        NOT NULL DEFAULT false,
    routed_at  timestamptz
)
WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE forge_workflow_events IS 'Events that runs may wait for, and signals to one run: they are kept for runs that wait later. Ends of runs and jobs that others wait for: they are deleted when they are routed.';
COMMENT ON COLUMN forge_workflow_events.run_id IS 'The run that a signal is for; null for an event, which reaches every run that waits for it.';
COMMENT ON COLUMN forge_workflow_events.once IS 'The idempotency key that it was emitted with.';
COMMENT ON COLUMN forge_workflow_events.routed IS 'The runs that waited for it then were woken.';
COMMENT ON COLUMN forge_workflow_events.routed_at IS 'When that was, after the commit of the event: a run that began between its emission and its commit still finds it.';
CREATE UNIQUE INDEX forge_workflow_events_once ON forge_workflow_events (event, key, once) WHERE once IS NOT NULL;
-- An event that is not routed yet is later than any that is.
CREATE INDEX forge_workflow_events_key ON forge_workflow_events (event, key, (coalesce(routed_at, 'infinity'::timestamptz)), id);
CREATE INDEX forge_workflow_events_run ON forge_workflow_events (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX forge_workflow_events_unrouted ON forge_workflow_events (id) WHERE NOT routed;
CREATE INDEX forge_workflow_events_emitted_at ON forge_workflow_events USING brin (emitted_at) WITH (autosummarize = on);

CREATE TABLE forge_workflow_progress (
    id           uuid                  PRIMARY KEY,
    run_id       uuid                  NOT NULL,
    followers    text[]                NOT NULL,
    status       forge_workflow_status NOT NULL,
    compensating bool                  NOT NULL,
    due_at       timestamptz,
    published    json,
    result       json,
    failure      json,
    created_at   timestamptz           NOT NULL,
    finished_at  timestamptz,
    CONSTRAINT forge_workflow_progress_finished
        CHECK ((status IN ('completed', 'failed', 'cancelled', 'terminated')) = (finished_at IS NOT NULL)),
    CONSTRAINT forge_workflow_progress_outcome CHECK (finished_at IS NOT NULL OR (result IS NULL AND failure IS NULL))
)
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE forge_workflow_progress IS 'How far runs are that clients follow. A copy of what forge_workflow_runs and forge_workflow_history say, in a table of which changes are captured; triggers of those two write it.';
COMMENT ON COLUMN forge_workflow_progress.id IS 'The run that a handle names.';
COMMENT ON COLUMN forge_workflow_progress.run_id IS 'The run that it is now: another one after it went on as a new run.';
COMMENT ON COLUMN forge_workflow_progress.followers IS 'The identities that have a handle of the run, as JSON.';
COMMENT ON COLUMN forge_workflow_progress.due_at IS 'When a run that waits goes on at the latest.';
CREATE INDEX forge_workflow_progress_run ON forge_workflow_progress (run_id);
SELECT forge_enable_reactivity('forge_workflow_progress');

-- Triggers, because a run changes in twenty statements: whichever it is, what followers see is committed with it. Their conditions are met by runs
-- that are followed alone; for others a trigger costs the look at one column.
CREATE FUNCTION forge_follow_live_run() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    -- One condition with OR would be a scan of the table wherever the planner takes it to be small.
    IF TG_OP = 'INSERT' AND NEW.continues IS NOT NULL THEN
        UPDATE forge_workflow_progress SET run_id = NEW.id WHERE run_id = NEW.continues;
    END IF;
    UPDATE forge_workflow_progress
    SET status = NEW.status, compensating = NEW.ending IS NOT NULL,
        due_at = CASE WHEN NEW.status IN ('ready', 'waiting') THEN nullif(NEW.due_at, 'infinity') END,
        published = NEW.published, result = NULL, failure = NULL, finished_at = NULL
    WHERE run_id = NEW.id;
    RETURN NULL;
END
$function$;

CREATE FUNCTION forge_follow_ended_run() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    -- Who has cancelled or terminated a run, and why, is for operators.
    UPDATE forge_workflow_progress
    SET status = NEW.status, compensating = false, due_at = NULL, published = NEW.published, result = NEW.output,
        failure = CASE NEW.status
            WHEN 'failed' THEN NEW.error
            WHEN 'cancelled' THEN '{"code":"CANCELLED","message":"the run was cancelled","details":null,"isOwn":false}'
        END,
        finished_at = NEW.finished_at
    WHERE run_id = NEW.id;
    RETURN NULL;
END
$function$;

CREATE TRIGGER forge_follow_inserted AFTER INSERT ON forge_workflow_runs
    FOR EACH ROW WHEN (NEW.followed) EXECUTE FUNCTION forge_follow_live_run();
CREATE TRIGGER forge_follow_updated AFTER UPDATE ON forge_workflow_runs
    FOR EACH ROW WHEN (NEW.followed AND (NEW.status, NEW.ending, NEW.due_at, NEW.published::text)
                           IS DISTINCT FROM (OLD.status, OLD.ending, OLD.due_at, OLD.published::text))
    EXECUTE FUNCTION forge_follow_live_run();
CREATE TRIGGER forge_follow_ended AFTER INSERT ON forge_workflow_history
    FOR EACH ROW WHEN (NEW.followed AND NEW.status <> 'continued') EXECUTE FUNCTION forge_follow_ended_run();

-- The functions look names up where Forge's tables are, whoever writes.
DO $migration$
BEGIN
    EXECUTE format('ALTER FUNCTION forge_follow_live_run() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION forge_follow_ended_run() SET search_path = %I, pg_temp', current_schema());
END
$migration$;

-- @down
DROP TABLE forge_workflow_progress;
DROP TABLE forge_workflow_events;
DROP TABLE forge_workflow_keys;
DROP TABLE forge_workflow_history;
DROP TABLE forge_workflow_steps;
DROP TABLE forge_workflow_runs;
DROP TABLE forge_workflow_owners;
DROP FUNCTION forge_follow_ended_run();
DROP FUNCTION forge_follow_live_run();
DROP TYPE forge_workflow_step_status;
DROP TYPE forge_workflow_step_kind;
DROP TYPE forge_workflow_parent_policy;
DROP TYPE forge_workflow_request;
DROP TYPE forge_workflow_status;
