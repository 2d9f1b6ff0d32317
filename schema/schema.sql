-- Written by a test from the migrations; do not edit.
CREATE TYPE public.forge_audit_outcome AS ENUM (
    'underway',
    'done',
    'failed'
);
CREATE TYPE public.forge_cron_overlap AS ENUM (
    'skip',
    'queue',
    'allow'
);
CREATE TYPE public.forge_cron_reason AS ENUM (
    'missed',
    'overlap',
    'queue_full'
);
CREATE TYPE public.forge_cron_source AS ENUM (
    'code',
    'application'
);
CREATE TYPE public.forge_cron_status AS ENUM (
    'waiting',
    'dispatched',
    'completed',
    'failed',
    'dead_letter',
    'cancelled',
    'unknown',
    'skipped'
);
CREATE TYPE public.forge_job_action AS ENUM (
    'retry',
    'cancel',
    'discard'
);
CREATE TYPE public.forge_job_dependency_kind AS ENUM (
    'child',
    'member',
    'step'
);
CREATE TYPE public.forge_job_log_level AS ENUM (
    'info',
    'warn',
    'error'
);
CREATE TYPE public.forge_job_status AS ENUM (
    'pending',
    'claimed',
    'running',
    'completed',
    'retry',
    'failed',
    'dead_letter',
    'cancelled'
);
CREATE TYPE public.forge_leader_end AS ENUM (
    'resigned',
    'lost'
);
CREATE TYPE public.forge_node_state AS ENUM (
    'joining',
    'active',
    'draining',
    'dead'
);
CREATE TYPE public.forge_workflow_parent_policy AS ENUM (
    'cancel',
    'abandon'
);
CREATE TYPE public.forge_workflow_request AS ENUM (
    'pause',
    'cancel'
);
CREATE TYPE public.forge_workflow_status AS ENUM (
    'ready',
    'running',
    'waiting',
    'paused',
    'diverged',
    'compensation_failed',
    'completed',
    'failed',
    'cancelled',
    'terminated',
    'continued'
);
CREATE TYPE public.forge_workflow_step_kind AS ENUM (
    'call',
    'closure',
    'transaction',
    'sleep',
    'event',
    'signal',
    'child',
    'job',
    'race',
    'compensation'
);
CREATE TYPE public.forge_workflow_step_status AS ENUM (
    'running',
    'retrying',
    'waiting',
    'completed',
    'failed',
    'skipped',
    'abandoned'
);
CREATE FUNCTION public.forge_capture() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            told pg_catalog.text := pg_catalog.current_setting('forge.changed', true);
        BEGIN
            -- One condition would be compiled whole for every transaction; most have told nothing yet.
            IF pg_catalog.length(told) OPERATOR(pg_catalog.>) 0 THEN
                IF pg_catalog.strpos(pg_catalog.concat(told, ','), pg_catalog.concat(',', TG_RELID, ',')) OPERATOR(pg_catalog.>) 0 THEN
                    RETURN NULL;
                END IF;
            END IF;
            -- The first letter of the operation, if there is a row.
            INSERT INTO public.forge_changes (tbl, op) SELECT TG_RELID, TG_OP::pg_catalog."char" FROM forge_rows LIMIT 1;
            IF FOUND THEN
                told := pg_catalog.set_config('forge.changed', pg_catalog.concat(told, ',', TG_RELID), true);
            END IF;
            RETURN NULL;
        END
        $$;
CREATE FUNCTION public.forge_capture_function(track text[]) RETURNS regproc
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    name text := 'forge_capture_' || left(md5(array_to_string(track, chr(10))), 12);
    source text;
    columns text;
    keys text;
BEGIN
    IF cardinality(track) = 0 THEN
        RETURN 'forge_capture'::regproc;
    END IF;
    -- Two sessions that make the same one would fail on each other's row of pg_proc.
    PERFORM pg_advisory_xact_lock(hashtextextended('forge/' || name, 0));
    IF to_regproc(name) IS NOT NULL THEN
        RETURN name::regproc;
    END IF;
    SELECT string_agg(format('%I::pg_catalog.text', col), ', '), string_agg('c' || number, ', '),
        string_agg(format($key$%L, CASE WHEN pg_catalog.count(DISTINCT c%s) OPERATOR(pg_catalog.<=) 256 THEN pg_catalog.jsonb_agg(DISTINCT c%s) END$key$,
            col, number, number), ', ')
    INTO source, columns, keys FROM unnest(track) WITH ORDINALITY AS tracked(col, number);
    EXECUTE format($template$
        CREATE FUNCTION %1$I.%2$I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $body$
        DECLARE
            told pg_catalog.text := pg_catalog.current_setting('forge.changed', true);
            n pg_catalog.int8 := (SELECT pg_catalog.count(*) FROM forge_rows);
            known pg_catalog.int8;
        BEGIN
            IF n OPERATOR(pg_catalog.=) 0 THEN
                RETURN NULL;
            END IF;
            SELECT pg_catalog.count(*) INTO known FROM pg_catalog.pg_attribute
            WHERE attrelid OPERATOR(pg_catalog.=) TG_RELID AND attname OPERATOR(pg_catalog.=) ANY (%3$L::pg_catalog.name[]);
            IF known OPERATOR(pg_catalog.<) %4$s OR n OPERATOR(pg_catalog.>) 4096 THEN
                INSERT INTO %1$I.forge_changes (tbl, op) VALUES (TG_RELID, TG_OP::pg_catalog."char");
            ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
                INSERT INTO %1$I.forge_changes (tbl, op, keys)
                SELECT TG_RELID, 'U', pg_catalog.jsonb_build_object(%7$s)
                FROM (SELECT %5$s FROM forge_rows UNION ALL SELECT %5$s FROM forge_old) AS both_rows(%6$s);
            ELSE
                INSERT INTO %1$I.forge_changes (tbl, op, keys)
                SELECT TG_RELID, TG_OP::pg_catalog."char", pg_catalog.jsonb_build_object(%7$s)
                FROM (SELECT %5$s FROM forge_rows) AS all_rows(%6$s);
            END IF;
            IF pg_catalog.strpos(pg_catalog.concat(told, ','), pg_catalog.concat(',', TG_RELID, ',')) OPERATOR(pg_catalog.=) 0 THEN
                told := pg_catalog.set_config('forge.changed', pg_catalog.concat(told, ',', TG_RELID), true);
            END IF;
            RETURN NULL;
        END
        $body$ $template$, current_schema(), name, track, cardinality(track), source, columns, keys);
    RETURN name::regproc;
END
$_$;
CREATE FUNCTION public.forge_capture_of(target regclass) RETURNS regproc
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT max(tgfoid) FILTER (WHERE tgname = 'forge_capture_update')::regproc FROM pg_trigger
    WHERE tgrelid = target AND tgenabled = 'A'
    AND tgname IN ('forge_capture_insert', 'forge_capture_update', 'forge_capture_delete', 'forge_capture_truncate')
    HAVING count(*) = 4
$$;
CREATE FUNCTION public.forge_capture_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            told pg_catalog.text := pg_catalog.current_setting('forge.changed', true);
        BEGIN
            INSERT INTO public.forge_changes (tbl, op) VALUES (TG_RELID, 'T');
            told := pg_catalog.set_config('forge.changed', pg_catalog.concat(told, ',', TG_RELID), true);
            RETURN NULL;
        END
        $$;
CREATE FUNCTION public.forge_cover_partitions() RETURNS bigint
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    WITH RECURSIVE captured AS (
        SELECT tgrelid, tgfoid FROM pg_trigger WHERE tgname = 'forge_capture_update' AND forge_capture_of(tgrelid) = tgfoid
    ), member(oid, capture) AS (
        SELECT inhrelid, tgfoid FROM captured JOIN pg_inherits ON inhparent = tgrelid
        UNION SELECT inhrelid, capture FROM member JOIN pg_inherits ON inhparent = member.oid
    ), missing AS MATERIALIZED (
        -- One that has a capture of its own keeps it.
        SELECT oid::regclass AS target, min(capture)::regproc AS capture FROM member JOIN pg_class USING (oid)
        WHERE relkind IN ('r', 'p') AND forge_capture_of(oid) IS NULL GROUP BY oid ORDER BY oid
    )
    SELECT count(*) FILTER (WHERE forge_install_capture(target, capture)) FROM missing
$$;
CREATE FUNCTION public.forge_disable_reactivity(target regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    parent regclass := (SELECT inhparent FROM pg_inherits WHERE inhrelid = target AND forge_capture_of(inhparent) IS NOT NULL LIMIT 1);
    leftover record;
    dropped boolean := false;
BEGIN
    IF parent IS NOT NULL THEN
        RAISE EXCEPTION 'changes of % are captured because those of % are', target, parent
            USING ERRCODE = 'object_in_use', HINT = format('SELECT forge_disable_reactivity(%L)', parent);
    END IF;
    FOR leftover IN
        SELECT tgname, tgrelid::regclass AS member FROM pg_trigger JOIN forge_members_of(target) AS member ON tgrelid = member
        WHERE tgname IN ('forge_capture_insert', 'forge_capture_update', 'forge_capture_delete', 'forge_capture_truncate')
    LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', leftover.tgname, leftover.member);
        dropped := true;
    END LOOP;
    IF dropped THEN
        PERFORM forge_drop_unused_captures();
        INSERT INTO forge_changes (tbl, op) VALUES (0, 'X');
    END IF;
END
$$;
CREATE FUNCTION public.forge_drop_unused_captures() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    unused regprocedure;
BEGIN
    FOR unused IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proname ~ '^forge_capture_[0-9a-f]{12}$'
        AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgfoid = pg_proc.oid)
    LOOP
        EXECUTE format('DROP FUNCTION IF EXISTS %s', unused);
    END LOOP;
END
$_$;
CREATE FUNCTION public.forge_enable_reactivity(target regclass, track text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    class pg_class := (SELECT class FROM pg_class AS class WHERE oid = target);
    strange text := (
        SELECT string_agg(name, ', ') FROM unnest(track) AS name WHERE NOT EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = target AND attname = name AND attnum > 0 AND NOT attisdropped));
    wanted text[] := ARRAY(SELECT DISTINCT name FROM unnest(track) AS name ORDER BY name);
    capture regproc;
    installed boolean;
BEGIN
    IF class.relkind NOT IN ('r', 'p') OR class.relpersistence = 't' OR class.oid < 16384 THEN
        RAISE EXCEPTION 'changes of % cannot be captured: it is no ordinary or partitioned table', target USING ERRCODE = 'wrong_object_type';
    ELSIF target IN ('forge_changes'::regclass, 'forge_change_state'::regclass, 'forge_change_marks'::regclass) THEN
        RAISE EXCEPTION 'changes of % cannot be captured: that would be a change', target USING ERRCODE = 'wrong_object_type';
    ELSIF strange IS NOT NULL THEN
        RAISE EXCEPTION '% has no column %', target, strange USING ERRCODE = 'undefined_column';
    END IF;
    capture := forge_capture_function(wanted);
    SELECT bool_or(forge_install_capture(member, capture)) INTO installed FROM forge_members_of(target) AS member;
    IF installed THEN
        PERFORM forge_drop_unused_captures();
        INSERT INTO forge_changes (tbl, op) VALUES (0, 'X');
    END IF;
END
$$;
CREATE FUNCTION public.forge_follow_ended_run() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
$$;
CREATE FUNCTION public.forge_follow_live_run() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
$$;
CREATE FUNCTION public.forge_install_capture(target regclass, capture regproc) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    old_rows text := CASE WHEN capture <> 'forge_capture'::regproc THEN 'OLD TABLE AS forge_old' ELSE '' END;
BEGIN
    IF forge_capture_of(target) = capture THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', target);
    IF forge_capture_of(target) = capture THEN
        RETURN false;
    END IF;
    -- Tells the event trigger that this is no news.
    PERFORM set_config('forge.installing', 'on', true);
    EXECUTE format($sql$
        CREATE OR REPLACE TRIGGER forge_capture_insert AFTER INSERT ON %1$s
            REFERENCING NEW TABLE AS forge_rows FOR EACH STATEMENT EXECUTE FUNCTION %2$s();
        CREATE OR REPLACE TRIGGER forge_capture_update AFTER UPDATE ON %1$s
            REFERENCING %3$s NEW TABLE AS forge_rows FOR EACH STATEMENT EXECUTE FUNCTION %2$s();
        CREATE OR REPLACE TRIGGER forge_capture_delete AFTER DELETE ON %1$s
            REFERENCING OLD TABLE AS forge_rows FOR EACH STATEMENT EXECUTE FUNCTION %2$s();
        CREATE OR REPLACE TRIGGER forge_capture_truncate AFTER TRUNCATE ON %1$s FOR EACH STATEMENT EXECUTE FUNCTION forge_capture_truncate();
        ALTER TABLE ONLY %1$s ENABLE ALWAYS TRIGGER forge_capture_insert, ENABLE ALWAYS TRIGGER forge_capture_update,
            ENABLE ALWAYS TRIGGER forge_capture_delete, ENABLE ALWAYS TRIGGER forge_capture_truncate;
    $sql$, target, capture, old_rows);
    PERFORM set_config('forge.installing', '', true);
    RETURN true;
END
$_$;
CREATE FUNCTION public.forge_members_of(target regclass) RETURNS SETOF regclass
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    WITH RECURSIVE member(oid) AS (
        SELECT target::oid UNION SELECT inhrelid FROM pg_inherits JOIN member ON inhparent = member.oid
    )
    SELECT oid::regclass FROM member JOIN pg_class USING (oid) WHERE relkind IN ('r', 'p') ORDER BY oid
$$;
CREATE TABLE public.forge_workflow_history (
    id uuid NOT NULL,
    workflow text NOT NULL,
    version integer NOT NULL,
    key text,
    status public.forge_workflow_status NOT NULL,
    claim integer NOT NULL,
    error json,
    output json,
    input json NOT NULL,
    identity json,
    trace text,
    created_at timestamp with time zone NOT NULL,
    begun_at timestamp with time zone,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    deadline_at timestamp with time zone,
    parent_id uuid,
    parent_position text COLLATE pg_catalog."C",
    followed boolean NOT NULL,
    attributes jsonb,
    published json,
    steps integer NOT NULL,
    journal_bytes bigint NOT NULL,
    continues uuid,
    CONSTRAINT forge_workflow_history_ended CHECK ((status = ANY (ARRAY['completed'::public.forge_workflow_status, 'failed'::public.forge_workflow_status, 'cancelled'::public.forge_workflow_status, 'terminated'::public.forge_workflow_status, 'continued'::public.forge_workflow_status]))),
    CONSTRAINT forge_workflow_history_why CHECK (((status <> 'failed'::public.forge_workflow_status) OR (error IS NOT NULL))),
    CONSTRAINT forge_workflow_history_workflow_check CHECK ((workflow <> ''::text))
);
COMMENT ON TABLE public.forge_workflow_history IS 'Runs that have ended, kept with their journal until expires_at.';
CREATE TABLE public.forge_workflow_runs (
    id uuid NOT NULL,
    workflow text NOT NULL,
    version integer NOT NULL,
    key text,
    status public.forge_workflow_status DEFAULT 'ready'::public.forge_workflow_status NOT NULL,
    due_at timestamp with time zone NOT NULL,
    owner_id bigint,
    claim integer DEFAULT 0 NOT NULL,
    wakes integer DEFAULT 0 NOT NULL,
    request public.forge_workflow_request,
    cancel_reason text,
    ending public.forge_workflow_status,
    error json,
    input json NOT NULL,
    identity json,
    trace text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    begun_at timestamp with time zone,
    deadline_at timestamp with time zone,
    parent_id uuid,
    parent_position text COLLATE pg_catalog."C",
    parent_policy public.forge_workflow_parent_policy,
    awaited boolean DEFAULT false NOT NULL,
    followed boolean DEFAULT false NOT NULL,
    retain_secs double precision,
    attributes jsonb,
    published json,
    steps integer DEFAULT 0 NOT NULL,
    journal_bytes bigint DEFAULT 0 NOT NULL,
    continues uuid,
    crashes integer DEFAULT 0 NOT NULL,
    crashed_at timestamp with time zone,
    events_from timestamp with time zone,
    consumed bigint[],
    CONSTRAINT forge_workflow_runs_child CHECK (((parent_id IS NULL) = (parent_policy IS NULL))),
    CONSTRAINT forge_workflow_runs_ending CHECK ((ending = ANY (ARRAY['failed'::public.forge_workflow_status, 'cancelled'::public.forge_workflow_status]))),
    CONSTRAINT forge_workflow_runs_live CHECK ((status = ANY (ARRAY['ready'::public.forge_workflow_status, 'running'::public.forge_workflow_status, 'waiting'::public.forge_workflow_status, 'paused'::public.forge_workflow_status, 'diverged'::public.forge_workflow_status, 'compensation_failed'::public.forge_workflow_status]))),
    CONSTRAINT forge_workflow_runs_owned CHECK (((status = 'running'::public.forge_workflow_status) = (owner_id IS NOT NULL))),
    CONSTRAINT forge_workflow_runs_reason CHECK (((cancel_reason IS NULL) OR (NOT (request IS DISTINCT FROM 'cancel'::public.forge_workflow_request)))),
    CONSTRAINT forge_workflow_runs_version_check CHECK ((version > 0)),
    CONSTRAINT forge_workflow_runs_why CHECK ((((ending IS NULL) AND (status <> ALL (ARRAY['diverged'::public.forge_workflow_status, 'compensation_failed'::public.forge_workflow_status]))) OR (error IS NOT NULL))),
    CONSTRAINT forge_workflow_runs_workflow_check CHECK ((workflow <> ''::text))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_scale_factor='0.1');
COMMENT ON TABLE public.forge_workflow_runs IS 'Runs that have not ended. Ending one moves its row to forge_workflow_history.';
COMMENT ON COLUMN public.forge_workflow_runs.due_at IS 'When it is to be claimed, by the clock of the database; infinity while it waits for an event without a timeout.';
COMMENT ON COLUMN public.forge_workflow_runs.claim IS 'Counts the claims of the run. A node names it with owner_id in each write, so that a write of an earlier claim is refused.';
COMMENT ON COLUMN public.forge_workflow_runs.wakes IS 'Counts what has come for waits of the run: events, signals, ends of children and jobs. A node that lets the run wait compares it with the count that it has read.';
COMMENT ON COLUMN public.forge_workflow_runs.request IS 'What a person, or the end of its parent, has asked of the run, and its node has not done yet: pause or cancel.';
COMMENT ON COLUMN public.forge_workflow_runs.cancel_reason IS 'Of a request to cancel: by whom, and why; the message of the failure ends so. Null when nobody has said it.';
COMMENT ON COLUMN public.forge_workflow_runs.ending IS 'Set while completed steps are compensated: how the run ends then, and error says why.';
COMMENT ON COLUMN public.forge_workflow_runs.followed IS 'Clients may follow it: what becomes of it is copied to forge_workflow_progress.';
COMMENT ON COLUMN public.forge_workflow_runs.steps IS 'Rows of its journal when its owner left it last.';
COMMENT ON COLUMN public.forge_workflow_runs.continues IS 'The run before this one, which has gone on as this one.';
COMMENT ON COLUMN public.forge_workflow_runs.crashes IS 'Activations that have ended without the run having left, since its last step ended: its node was lost, or the activation failed.';
COMMENT ON COLUMN public.forge_workflow_runs.crashed_at IS 'When the last of them was noticed.';
COMMENT ON COLUMN public.forge_workflow_runs.events_from IS 'Events that were routed before this are not received; null stands for created_at. Set where it goes on for an earlier run.';
COMMENT ON COLUMN public.forge_workflow_runs.consumed IS 'Events since events_from that the runs for which it goes on have received.';
CREATE FUNCTION public.forge_newest_workflow_run(run uuid) RETURNS TABLE(id uuid)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 WITH RECURSIVE chain AS (
          SELECT forge_newest_workflow_run.run AS id,
             0 AS link
         UNION ALL
          SELECT next.id,
             (chain_1.link + 1)
            FROM (chain chain_1
              CROSS JOIN LATERAL ( SELECT live.id
                    FROM public.forge_workflow_runs live
                   WHERE (live.continues = chain_1.id)
                 UNION ALL
                  SELECT ended.id
                    FROM public.forge_workflow_history ended
                   WHERE (ended.continues = chain_1.id)) next)
         )
  SELECT chain.id
    FROM chain
   WHERE (chain.link > 0)
   ORDER BY chain.link DESC
  LIMIT 1;
END;
COMMENT ON FUNCTION public.forge_newest_workflow_run(run uuid) IS 'The newest of the runs that a run has gone on as; no row where it has not.';
CREATE FUNCTION public.forge_read_changes(since pg_snapshot, rows_max integer, OUT snapshot pg_snapshot, OUT horizon xid8, OUT server_started timestamp with time zone, OUT too_many boolean, OUT tables oid[]) RETURNS record
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_sort TO 'off'
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    next xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
    snapshot := pg_current_snapshot();
    server_started := pg_postmaster_start_time();
    SELECT state.horizon INTO STRICT horizon FROM forge_change_state AS state WHERE singleton;
    SELECT array_agg(DISTINCT tbl), count(*) > rows_max INTO tables, too_many FROM (
        SELECT changes.tbl FROM pg_snapshot_xip(since) AS open(xid) JOIN LATERAL (
            SELECT tbl FROM forge_changes WHERE forge_changes.xid = open.xid OFFSET 0
        ) AS changes ON true
        UNION ALL
        (SELECT tbl FROM forge_changes WHERE xid >= pg_snapshot_xmax(since) AND xid < next ORDER BY xid LIMIT rows_max::int8 + 1)
    ) AS news;
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = ANY (tables)) OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = ANY (tables)) THEN
        -- Who reads a partition is told of writes that went through its parent, and the other way round.
        WITH RECURSIVE above(tbl) AS (
            SELECT unnest(tables) UNION SELECT inhparent FROM pg_inherits JOIN above ON inhrelid = above.tbl
        ), below(tbl) AS (
            SELECT unnest(tables) UNION SELECT inhrelid FROM pg_inherits JOIN below ON inhparent = below.tbl
        )
        SELECT array_agg(tbl) INTO tables FROM (SELECT tbl FROM above UNION SELECT tbl FROM below) AS related;
    END IF;
    tables := coalesce(tables, '{}');
END
$$;
CREATE FUNCTION public.forge_report_definitions() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF current_setting('forge.installing', true) = 'on' THEN
        RETURN;
    ELSIF TG_TAG = 'REFRESH MATERIALIZED VIEW' THEN
        INSERT INTO forge_changes (tbl, op) SELECT objid, 'T' FROM pg_event_trigger_ddl_commands();
    ELSIF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp') THEN
        PERFORM forge_cover_partitions();
        INSERT INTO forge_changes (tbl, op) VALUES (0, 'X');
    END IF;
END
$$;
CREATE FUNCTION public.forge_report_drops() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary
        AND object_type IN ('table', 'view', 'materialized view', 'foreign table', 'function', 'aggregate', 'policy', 'rule', 'table column', 'schema')
    ) THEN
        INSERT INTO forge_changes (tbl, op) VALUES (0, 'X');
    END IF;
END
$$;
CREATE TABLE public.forge_audit (
    id uuid NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    subject text NOT NULL,
    action text NOT NULL,
    node_id uuid,
    target text NOT NULL,
    outcome public.forge_audit_outcome DEFAULT 'underway'::public.forge_audit_outcome NOT NULL,
    error text,
    CONSTRAINT forge_audit_action_check CHECK ((action <> ''::text)),
    CONSTRAINT forge_audit_check CHECK (((outcome = 'failed'::public.forge_audit_outcome) = (error IS NOT NULL)))
);
COMMENT ON TABLE public.forge_audit IS 'One row per administrative action, written before the action and settled after it. Kept for ever.';
COMMENT ON COLUMN public.forge_audit.node_id IS 'The node that was acted on; no foreign key, since rows outlive nodes.';
CREATE TABLE public.forge_change_marks (
    at timestamp with time zone DEFAULT now() NOT NULL,
    ended_before xid8 NOT NULL
);
COMMENT ON TABLE public.forge_change_marks IS 'Every transaction before ended_before had ended at this time: what lets forge_changes do without a time in each row. Kept for capture.retention.';
CREATE TABLE public.forge_change_state (
    singleton boolean DEFAULT true NOT NULL,
    horizon xid8 DEFAULT '0'::xid8 NOT NULL,
    fingerprint bigint,
    CONSTRAINT forge_change_state_singleton_check CHECK (singleton)
);
COMMENT ON TABLE public.forge_change_state IS 'One row. Locked for a moment by the sweep of forge_changes, read with every look at it.';
COMMENT ON COLUMN public.forge_change_state.horizon IS 'Changes of transactions before this one may be gone.';
COMMENT ON COLUMN public.forge_change_state.fingerprint IS 'Of all definitions, compared by the sweep where no event trigger reports DDL.';
CREATE TABLE public.forge_changes (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    tbl oid NOT NULL,
    op "char" NOT NULL,
    keys jsonb
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000');
ALTER TABLE ONLY public.forge_changes REPLICA IDENTITY FULL;
COMMENT ON TABLE public.forge_changes IS 'What transactions wrote: one row for each table, or for each statement on a table with tracked columns. No foreign key: tbl is an oid of pg_class, and outlives its table. Kept for capture.retention.';
COMMENT ON COLUMN public.forge_changes.xid IS 'The transaction; its rows become visible with its commit, all at once.';
COMMENT ON COLUMN public.forge_changes.tbl IS 'The table that the statement named: a partitioned table or a partition. 0 for definitions.';
COMMENT ON COLUMN public.forge_changes.op IS 'I, U, D, T: insert, update, delete, truncate, of the statement that left the row; X: a definition changed (DDL), so that any query may have another result.';
COMMENT ON COLUMN public.forge_changes.keys IS 'Tracked column -> its distinct old and new values as texts, or null for too many. Null: the whole table may have changed.';
CREATE TABLE public.forge_crashes (
    id bigint NOT NULL,
    node_id uuid NOT NULL,
    path text NOT NULL,
    kind text NOT NULL,
    cause text NOT NULL,
    message text,
    backtrace text,
    restarts integer NOT NULL,
    occurrences integer DEFAULT 1 NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT forge_crashes_kind_check CHECK ((kind <> ''::text)),
    CONSTRAINT forge_crashes_occurrences_check CHECK ((occurrences > 0)),
    CONSTRAINT forge_crashes_path_check CHECK ((path <> ''::text)),
    CONSTRAINT forge_crashes_restarts_check CHECK ((restarts >= 0))
);
COMMENT ON TABLE public.forge_crashes IS 'One row per crash, or per burst of equal crashes of one actor (occurrences). Kept for 30 days.';
COMMENT ON COLUMN public.forge_crashes.path IS 'Place in the supervision tree, as in functions/dispatcher.';
COMMENT ON COLUMN public.forge_crashes.message IS 'Name of the message that was being handled; null when it crashed while starting or stopping.';
COMMENT ON COLUMN public.forge_crashes.restarts IS 'How often its supervisor had restarted it before.';
ALTER TABLE public.forge_crashes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.forge_crashes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.forge_cron_runs (
    cron_id uuid NOT NULL,
    scheduled_at timestamp with time zone NOT NULL,
    status public.forge_cron_status NOT NULL,
    reason public.forge_cron_reason,
    times integer DEFAULT 1 NOT NULL,
    last_at timestamp with time zone NOT NULL,
    catch_up boolean DEFAULT false NOT NULL,
    requested_by text,
    epoch bigint,
    job_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT forge_cron_runs_ended CHECK (((status = ANY (ARRAY['waiting'::public.forge_cron_status, 'dispatched'::public.forge_cron_status, 'skipped'::public.forge_cron_status])) = (finished_at IS NULL))),
    CONSTRAINT forge_cron_runs_job CHECK (((status = ANY (ARRAY['waiting'::public.forge_cron_status, 'skipped'::public.forge_cron_status])) = (job_id IS NULL))),
    CONSTRAINT forge_cron_runs_origin CHECK (((epoch IS NULL) = (requested_by IS NOT NULL))),
    CONSTRAINT forge_cron_runs_skipped CHECK (((status = 'skipped'::public.forge_cron_status) = (reason IS NOT NULL))),
    CONSTRAINT forge_cron_runs_times CHECK (((times = 1) OR (reason = 'missed'::public.forge_cron_reason))),
    CONSTRAINT forge_cron_runs_times_check CHECK ((times > 0))
);
COMMENT ON TABLE public.forge_cron_runs IS 'The times that came, and what became of each. One row for one time of one cron: the primary key.';
COMMENT ON COLUMN public.forge_cron_runs.times IS 'How many times in a row were missed: from scheduled_at to last_at.';
COMMENT ON COLUMN public.forge_cron_runs.catch_up IS 'Its time was missed, and it ran afterwards.';
COMMENT ON COLUMN public.forge_cron_runs.requested_by IS 'Who asked for this run. Null for one that the schedule brought.';
COMMENT ON COLUMN public.forge_cron_runs.epoch IS 'The term of the leader that wrote it. Null for a run that a person asked for.';
COMMENT ON COLUMN public.forge_cron_runs.started_at IS 'When the first attempt at its job began.';
CREATE TABLE public.forge_crons (
    id uuid NOT NULL,
    name text NOT NULL,
    tenant text,
    source public.forge_cron_source NOT NULL,
    handler text NOT NULL,
    args json DEFAULT '{}'::json NOT NULL,
    identity json,
    expression text NOT NULL,
    timezone text NOT NULL,
    overlap public.forge_cron_overlap NOT NULL,
    catch_up integer NOT NULL,
    jitter_ms bigint NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    attempts_max integer NOT NULL,
    next_at timestamp with time zone,
    paused_at timestamp with time zone,
    paused_by text,
    is_absent boolean DEFAULT false NOT NULL,
    problem text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT forge_crons_attempts_max_check CHECK ((attempts_max > 0)),
    CONSTRAINT forge_crons_catch_up_check CHECK (((catch_up >= 0) AND (catch_up <= 100))),
    CONSTRAINT forge_crons_explained CHECK (((next_at IS NOT NULL) OR (problem IS NOT NULL))),
    CONSTRAINT forge_crons_expression_check CHECK ((expression <> ''::text)),
    CONSTRAINT forge_crons_handler_check CHECK ((handler <> ''::text)),
    CONSTRAINT forge_crons_jitter_ms_check CHECK (((jitter_ms >= 0) AND (jitter_ms <= 86400000))),
    CONSTRAINT forge_crons_name_check CHECK ((name <> ''::text)),
    CONSTRAINT forge_crons_next_at_check CHECK (isfinite(next_at)),
    CONSTRAINT forge_crons_of_code CHECK (((source = 'application'::public.forge_cron_source) OR ((tenant IS NULL) AND (identity IS NULL)))),
    CONSTRAINT forge_crons_pause_whole CHECK (((paused_at IS NULL) = (paused_by IS NULL))),
    CONSTRAINT forge_crons_priority_check CHECK (((priority >= 0) AND (priority <= 100))),
    CONSTRAINT forge_crons_queue_check CHECK ((queue <> ''::text)),
    CONSTRAINT forge_crons_tenant_check CHECK ((tenant <> ''::text)),
    CONSTRAINT forge_crons_timezone_check CHECK ((timezone <> ''::text))
);
COMMENT ON TABLE public.forge_crons IS 'Schedules: those of the code, which the leader of `crons` writes, and those that applications create for their tenants.';
COMMENT ON COLUMN public.forge_crons.identity IS 'Who created it, as the token said; its runs have this identity. Null for one of the code.';
COMMENT ON COLUMN public.forge_crons.next_at IS 'The first time that was not looked at yet. It only grows while the schedule stays.';
COMMENT ON COLUMN public.forge_crons.is_absent IS 'The binary of the leader has no such handler, so nothing is run.';
COMMENT ON COLUMN public.forge_crons.problem IS 'Why there is no next time.';
CREATE TABLE public.forge_failed_attempts (
    job_id uuid NOT NULL,
    claim integer NOT NULL,
    attempt integer NOT NULL,
    failed_at timestamp with time zone DEFAULT now() NOT NULL,
    error text NOT NULL
);
COMMENT ON TABLE public.forge_failed_attempts IS 'The attempts at jobs that have failed. They are deleted with the row of the job in forge_job_history.';
COMMENT ON COLUMN public.forge_failed_attempts.claim IS 'Grows from one attempt at the job to the next, also when the job gets all of its attempts again.';
CREATE TABLE public.forge_idempotency (
    digest bytea NOT NULL,
    function text NOT NULL,
    args_hash bytea NOT NULL,
    answer bytea,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT forge_idempotency_args_hash_check CHECK ((octet_length(args_hash) = 32)),
    CONSTRAINT forge_idempotency_digest_check CHECK ((octet_length(digest) = 32)),
    CONSTRAINT forge_idempotency_function_check CHECK ((function <> ''::text))
);
COMMENT ON TABLE public.forge_idempotency IS 'One row per key, function and caller of a committed mutation. Kept for 24 hours.';
COMMENT ON COLUMN public.forge_idempotency.digest IS 'SHA-256 of function, tenant, subject and key, each with its length.';
COMMENT ON COLUMN public.forge_idempotency.answer IS 'The JSON that was answered; null for public functions, whose answers are not kept.';
COMMENT ON COLUMN public.forge_idempotency.xid IS 'The transaction of the call: a repeated one is told what it wrote and when.';
CREATE TABLE public.forge_job_buffers (
    file text NOT NULL,
    dispatched_bytes bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    removed_at timestamp with time zone,
    CONSTRAINT forge_job_buffers_dispatched_bytes_check CHECK ((dispatched_bytes >= 0)),
    CONSTRAINT forge_job_buffers_file_check CHECK ((file <> ''::text))
);
COMMENT ON TABLE public.forge_job_buffers IS 'Files of buffered jobs, and how far they are dispatched: written by the transactions that dispatch their jobs.';
COMMENT ON COLUMN public.forge_job_buffers.file IS 'Name of the file, which no other file of any node has.';
COMMENT ON COLUMN public.forge_job_buffers.dispatched_bytes IS 'The offset, in bytes, up to which the lines of the file are dispatched.';
COMMENT ON COLUMN public.forge_job_buffers.removed_at IS 'When the file was deleted. The row follows a day later.';
CREATE TABLE public.forge_job_bulks (
    job_id uuid NOT NULL,
    action public.forge_job_action NOT NULL,
    filter json NOT NULL,
    requested_by text NOT NULL,
    expected bigint,
    done bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    next_before uuid,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT forge_job_bulks_counts CHECK (((done >= 0) AND (skipped >= 0))),
    CONSTRAINT forge_job_bulks_expected_check CHECK ((expected >= 0))
);
COMMENT ON TABLE public.forge_job_bulks IS 'What an operator does to all jobs that match a filter, batch by batch. No foreign key: its own job is in forge_jobs, in a batch lease or in the history.';
COMMENT ON COLUMN public.forge_job_bulks.job_id IS 'The job that does it.';
COMMENT ON COLUMN public.forge_job_bulks.expected IS 'How many jobs matched when they were counted before.';
COMMENT ON COLUMN public.forge_job_bulks.skipped IS 'Jobs that had changed meanwhile, so that the action did not apply to them.';
COMMENT ON COLUMN public.forge_job_bulks.next_before IS 'The next batch is of jobs before this one; null before the first batch.';
CREATE TABLE public.forge_job_dependencies (
    waiter_id uuid NOT NULL,
    number integer NOT NULL,
    job_id uuid NOT NULL,
    name text NOT NULL,
    kind public.forge_job_dependency_kind NOT NULL,
    ended public.forge_job_status,
    broke boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT forge_job_dependencies_broke CHECK (((NOT broke) OR ((kind = 'step'::public.forge_job_dependency_kind) AND (ended <> 'completed'::public.forge_job_status)))),
    CONSTRAINT forge_job_dependencies_ended_check CHECK ((ended = ANY (ARRAY['completed'::public.forge_job_status, 'failed'::public.forge_job_status, 'dead_letter'::public.forge_job_status, 'cancelled'::public.forge_job_status]))),
    CONSTRAINT forge_job_dependencies_name_check CHECK ((name <> ''::text))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.forge_job_dependencies IS 'Which jobs a job waits for, or has waited for. No foreign keys: jobs are in forge_jobs, in a batch lease or in the history.';
COMMENT ON COLUMN public.forge_job_dependencies.number IS 'The order in which they were dispatched.';
COMMENT ON COLUMN public.forge_job_dependencies.name IS 'Wire name of the handler of the job.';
COMMENT ON COLUMN public.forge_job_dependencies.ended IS 'How the job has ended; null until that is recorded.';
COMMENT ON COLUMN public.forge_job_dependencies.broke IS 'Of a step that has ended without success: true when the waiter does not wait for its retry, because the end has cancelled the waiter, or the history has the step no more.';
CREATE TABLE public.forge_job_history (
    id uuid NOT NULL,
    name text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    status public.forge_job_status NOT NULL,
    attempt integer NOT NULL,
    attempts_max integer NOT NULL,
    claim integer NOT NULL,
    node_id uuid,
    args json NOT NULL,
    identity json,
    trace text,
    last_error text,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT now() NOT NULL,
    concurrency_key text,
    rate_key text,
    timeout_ms bigint,
    result json,
    failure json,
    CONSTRAINT forge_job_history_attempts CHECK ((((attempt >= 0) AND (attempt <= attempts_max)) AND (claim >= attempt))),
    CONSTRAINT forge_job_history_attempts_max_check CHECK ((attempts_max > 0)),
    CONSTRAINT forge_job_history_explained CHECK (((status <> ALL (ARRAY['failed'::public.forge_job_status, 'dead_letter'::public.forge_job_status])) OR (last_error IS NOT NULL))),
    CONSTRAINT forge_job_history_finished CHECK ((status = ANY (ARRAY['completed'::public.forge_job_status, 'failed'::public.forge_job_status, 'dead_letter'::public.forge_job_status, 'cancelled'::public.forge_job_status]))),
    CONSTRAINT forge_job_history_name_check CHECK ((name <> ''::text)),
    CONSTRAINT forge_job_history_priority_check CHECK (((priority >= 0) AND (priority <= 100))),
    CONSTRAINT forge_job_history_queue_check CHECK ((queue <> ''::text))
);
COMMENT ON TABLE public.forge_job_history IS 'Finished jobs, kept for as long as [jobs] retention says.';
COMMENT ON COLUMN public.forge_job_history.claim IS 'As it was last; a job that is tried again goes on from there.';
COMMENT ON COLUMN public.forge_job_history.result IS 'What the handler of a completed job returned; null for one that returns nothing.';
COMMENT ON COLUMN public.forge_job_history.failure IS 'Why the job ended without success, without what is for operators alone (last_error).';
CREATE TABLE public.forge_job_keys (
    key text NOT NULL,
    job_id uuid NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT forge_job_keys_key_check CHECK ((key <> ''::text))
)
WITH (autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.forge_job_keys IS 'Keys of dispatches that are unique. No foreign key: the job is in forge_jobs, in a batch lease or in the history.';
COMMENT ON COLUMN public.forge_job_keys.job_id IS 'The job that was dispatched with the key last.';
COMMENT ON COLUMN public.forge_job_keys.expires_at IS 'Until then another dispatch finds this job; null: until the job has ended.';
CREATE TABLE public.forge_jobs (
    id uuid NOT NULL,
    name text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    status public.forge_job_status DEFAULT 'pending'::public.forge_job_status NOT NULL,
    ready boolean NOT NULL,
    run_at timestamp with time zone NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    attempts_max integer NOT NULL,
    claim integer DEFAULT 0 NOT NULL,
    node_id uuid,
    lease_until timestamp with time zone,
    args json NOT NULL,
    identity json,
    trace text,
    last_error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    refused_by text[],
    batched boolean DEFAULT false NOT NULL,
    losses smallint DEFAULT 0 NOT NULL,
    concurrency_key text,
    rate_key text,
    blocked_by text,
    due_at timestamp with time zone,
    timeout_ms bigint,
    aged_at timestamp with time zone,
    followed boolean,
    awaited boolean,
    waits_for_jobs boolean,
    CONSTRAINT forge_jobs_another CHECK (((status = 'running'::public.forge_job_status) OR (attempt < attempts_max))),
    CONSTRAINT forge_jobs_attempts CHECK ((((attempt >= 0) AND (attempt <= attempts_max)) AND (claim >= attempt))),
    CONSTRAINT forge_jobs_attempts_max_check CHECK ((attempts_max > 0)),
    CONSTRAINT forge_jobs_begun CHECK (((status = ANY (ARRAY['pending'::public.forge_job_status, 'claimed'::public.forge_job_status])) OR (attempt > 0))),
    CONSTRAINT forge_jobs_blocked CHECK ((((blocked_by IS NOT NULL) OR (waits_for_jobs IS TRUE)) = (due_at IS NOT NULL))),
    CONSTRAINT forge_jobs_held_is_ready CHECK (((status = ANY (ARRAY['pending'::public.forge_job_status, 'retry'::public.forge_job_status])) OR ready)),
    CONSTRAINT forge_jobs_lease_whole CHECK (((lease_until IS NULL) = (node_id IS NULL))),
    CONSTRAINT forge_jobs_leased CHECK (((status = ANY (ARRAY['claimed'::public.forge_job_status, 'running'::public.forge_job_status])) = ((lease_until IS NOT NULL) AND (node_id IS NOT NULL)))),
    CONSTRAINT forge_jobs_live CHECK ((status = ANY (ARRAY['pending'::public.forge_job_status, 'claimed'::public.forge_job_status, 'running'::public.forge_job_status, 'retry'::public.forge_job_status]))),
    CONSTRAINT forge_jobs_losses CHECK (((losses >= 0) AND (NOT (batched AND (losses > 0))))),
    CONSTRAINT forge_jobs_name_check CHECK ((name <> ''::text)),
    CONSTRAINT forge_jobs_priority_check CHECK (((priority >= 0) AND (priority <= 100))),
    CONSTRAINT forge_jobs_queue_check CHECK ((queue <> ''::text)),
    CONSTRAINT forge_jobs_time CHECK (isfinite(run_at)),
    CONSTRAINT forge_jobs_timeout CHECK ((timeout_ms > 0)),
    CONSTRAINT forge_jobs_waits CHECK (((blocked_by IS NULL) OR (waits_for_jobs IS NOT TRUE)))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_scale_factor='0.1');
COMMENT ON TABLE public.forge_jobs IS 'Jobs that are not finished. Finishing one moves its row to forge_job_history.';
COMMENT ON COLUMN public.forge_jobs.ready IS 'False until run_at is reached; only ready rows are looked through for work.';
COMMENT ON COLUMN public.forge_jobs.attempt IS 'Attempts begun, written before the handler starts; snoozing a job, or handing it back, gives one back.';
COMMENT ON COLUMN public.forge_jobs.claim IS 'Grows with every claim and never falls: a worker names it in each write, and an older one is refused.';
COMMENT ON COLUMN public.forge_jobs.lease_until IS 'When its node must have renewed the lease, by the clock of the database.';
COMMENT ON COLUMN public.forge_jobs.identity IS 'Who dispatched it, as its token said.';
COMMENT ON COLUMN public.forge_jobs.trace IS 'W3C traceparent of the call that dispatched it.';
COMMENT ON COLUMN public.forge_jobs.refused_by IS 'Builds whose handler could not read the arguments; null before the first one.';
COMMENT ON COLUMN public.forge_jobs.batched IS 'May be claimed in a batch lease, except for its last attempt. False with large arguments and after a loss: its attempts are then written when they begin.';
COMMENT ON COLUMN public.forge_jobs.losses IS 'How often a batch lease that held the job ran out.';
COMMENT ON COLUMN public.forge_jobs.concurrency_key IS 'Of the jobs with this key only so many are held at a time as their handler says. Such a job is always held by its own row: the rows that are held are the count.';
COMMENT ON COLUMN public.forge_jobs.rate_key IS 'Of the jobs with this key only so many are claimed in a time as their handler says.';
COMMENT ON COLUMN public.forge_jobs.blocked_by IS 'The key whose limit the job waits for. Its run_at is 9999-12-31 meanwhile, so that neither promotions nor claims see it.';
COMMENT ON COLUMN public.forge_jobs.due_at IS 'The run_at of a job that waits for a limit or for jobs, restored when the wait ends.';
COMMENT ON COLUMN public.forge_jobs.timeout_ms IS 'The time limit of an attempt, where the dispatch named one.';
COMMENT ON COLUMN public.forge_jobs.aged_at IS 'When the priority was raised last, because the job had been due for long.';
COMMENT ON COLUMN public.forge_jobs.followed IS 'Clients may follow the job: the node that runs it writes its begins and ends into forge_job_progress.';
COMMENT ON COLUMN public.forge_jobs.awaited IS 'Another job waits for the end of this one: the node that runs it writes that into forge_job_dependencies.';
COMMENT ON COLUMN public.forge_jobs.waits_for_jobs IS 'The job waits for other jobs, and is not claimed: its run_at is 9999-12-31 meanwhile.';
CREATE TABLE public.forge_job_leases (
    id uuid NOT NULL,
    node_id uuid NOT NULL,
    claimed_at timestamp with time zone DEFAULT now() NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    jobs public.forge_jobs[] NOT NULL,
    gone uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    begun uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    error text,
    CONSTRAINT forge_job_leases_jobs_check CHECK ((cardinality(jobs) > 0))
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.forge_job_leases IS 'Batch leases. A job of one is held unless it is gone or in forge_job_history. Columns added to forge_jobs must be nullable and without a default, since this table uses its row type.';
COMMENT ON COLUMN public.forge_job_leases.lease_until IS 'When its node must have renewed the lease, by the clock of the database.';
COMMENT ON COLUMN public.forge_job_leases.jobs IS 'The rows of forge_jobs as they were before the claim.';
COMMENT ON COLUMN public.forge_job_leases.gone IS 'Jobs that the lease no longer holds: they wait in forge_jobs again, or have ended.';
COMMENT ON COLUMN public.forge_job_leases.begun IS 'Jobs whose attempt had begun when the lease was renewed last.';
COMMENT ON COLUMN public.forge_job_leases.error IS 'Why the database refuses that a job leaves this lease.';
CREATE TABLE public.forge_job_limits (
    key text NOT NULL,
    bucket_ends timestamp with time zone[] DEFAULT '{}'::timestamp with time zone[] NOT NULL,
    bucket_claims integer[] DEFAULT '{}'::integer[] NOT NULL,
    opens_at timestamp with time zone,
    last_tenant text,
    limit_override integer,
    overridden_by text,
    used_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT forge_job_limits_buckets CHECK ((cardinality(bucket_ends) = cardinality(bucket_claims))),
    CONSTRAINT forge_job_limits_key_check CHECK ((key <> ''::text)),
    CONSTRAINT forge_job_limits_limit_override_check CHECK ((limit_override >= 0)),
    CONSTRAINT forge_job_limits_override CHECK (((limit_override IS NULL) = (overridden_by IS NULL)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.forge_job_limits IS 'A row for each key of a limit that was claimed from lately. Its lock makes claims of one key take turns. It counts the claims of rate limits; what is held is counted in forge_jobs.';
COMMENT ON COLUMN public.forge_job_limits.bucket_ends IS 'Ends of the buckets of a rate limit within its window, the oldest first.';
COMMENT ON COLUMN public.forge_job_limits.bucket_claims IS 'Claims in each bucket.';
COMMENT ON COLUMN public.forge_job_limits.opens_at IS 'When the window of a rate limit has capacity for a blocked job; null when none is blocked by it.';
COMMENT ON COLUMN public.forge_job_limits.last_tenant IS 'The tenant whose job was unblocked last; the one after it is next.';
COMMENT ON COLUMN public.forge_job_limits.limit_override IS 'What an operator has set in the place of the limit of the handler; 0 lets nothing pass.';
CREATE TABLE public.forge_job_log (
    job_id uuid NOT NULL,
    claim integer NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    level public.forge_job_log_level NOT NULL,
    line text NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.forge_job_log IS 'The last lines that jobs have logged.';
COMMENT ON COLUMN public.forge_job_log.number IS 'Counts the lines of an attempt, also those that are not kept.';
CREATE TABLE public.forge_job_progress (
    id uuid NOT NULL,
    followers text[],
    claim integer NOT NULL,
    status public.forge_job_status NOT NULL,
    attempt integer NOT NULL,
    attempts_max integer NOT NULL,
    run_at timestamp with time zone,
    progress double precision,
    message text,
    result json,
    failure json,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT forge_job_progress_attempts_max_check CHECK ((attempts_max > 0)),
    CONSTRAINT forge_job_progress_finished CHECK (((status = ANY (ARRAY['completed'::public.forge_job_status, 'failed'::public.forge_job_status, 'dead_letter'::public.forge_job_status, 'cancelled'::public.forge_job_status])) = (finished_at IS NOT NULL))),
    CONSTRAINT forge_job_progress_outcome CHECK (((finished_at IS NOT NULL) OR ((result IS NULL) AND (failure IS NULL)))),
    CONSTRAINT forge_job_progress_progress_check CHECK (((progress >= (0)::double precision) AND (progress <= (1)::double precision)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.forge_job_progress IS 'How far jobs are that report it, or that clients follow. A copy of what forge_jobs and forge_job_history say, in a table of which changes are captured: those two have no triggers.';
COMMENT ON COLUMN public.forge_job_progress.followers IS 'The identities that have a handle of the job, as JSON; null while nobody follows it.';
COMMENT ON COLUMN public.forge_job_progress.claim IS 'Of the attempt that has reported last; a report of an earlier one is refused.';
CREATE TABLE public.forge_job_queues (
    queue text NOT NULL,
    paused_at timestamp with time zone,
    paused_by text,
    concurrency_max integer,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT forge_job_queues_concurrency_max_check CHECK ((concurrency_max > 0)),
    CONSTRAINT forge_job_queues_paused CHECK (((paused_at IS NULL) = (paused_by IS NULL))),
    CONSTRAINT forge_job_queues_queue_check CHECK ((queue <> ''::text)),
    CONSTRAINT forge_job_queues_set CHECK (((paused_at IS NOT NULL) OR (concurrency_max IS NOT NULL)))
);
COMMENT ON TABLE public.forge_job_queues IS 'Settings of queues that operators have changed while nodes run. A queue without a row has none.';
COMMENT ON COLUMN public.forge_job_queues.concurrency_max IS 'Of the jobs of the queue only so many are held at a time by all nodes together.';
CREATE TABLE public.forge_leader_history (
    name text NOT NULL,
    epoch bigint NOT NULL,
    node_id uuid NOT NULL,
    node_name text NOT NULL,
    elected_at timestamp with time zone NOT NULL,
    renewed_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone DEFAULT now() NOT NULL,
    reason public.forge_leader_end NOT NULL
);
COMMENT ON TABLE public.forge_leader_history IS 'Terms that have ended, kept for as long as [leader] retention says.';
COMMENT ON COLUMN public.forge_leader_history.ended_at IS 'When the leader stepped down, or when the next one was elected after it was lost.';
COMMENT ON COLUMN public.forge_leader_history.reason IS 'resigned: the leader stepped down in order. lost: its session ended, and the next leader found the lock free.';
CREATE TABLE public.forge_leaders (
    name text NOT NULL,
    epoch bigint NOT NULL,
    node_id uuid NOT NULL,
    node_name text NOT NULL,
    elected_at timestamp with time zone DEFAULT now() NOT NULL,
    renewed_at timestamp with time zone DEFAULT now() NOT NULL,
    resigned_at timestamp with time zone,
    CONSTRAINT forge_leaders_check CHECK ((renewed_at >= elected_at)),
    CONSTRAINT forge_leaders_check1 CHECK ((resigned_at >= elected_at)),
    CONSTRAINT forge_leaders_epoch_check CHECK ((epoch > 0)),
    CONSTRAINT forge_leaders_name_check CHECK ((name <> ''::text)),
    CONSTRAINT forge_leaders_node_name_check CHECK ((node_name <> ''::text))
)
WITH (fillfactor='50');
COMMENT ON TABLE public.forge_leaders IS 'One row per leadership: its current term, or the last one. Deleting a row lets epochs begin anew, so rows are kept.';
COMMENT ON COLUMN public.forge_leaders.epoch IS 'Grows with every term. A leader names it in each transaction, and an older one is refused.';
COMMENT ON COLUMN public.forge_leaders.node_id IS 'The node that leads; no foreign key, since rows outlive nodes.';
COMMENT ON COLUMN public.forge_leaders.renewed_at IS 'The last renewal that the leader has written; it writes one a minute.';
COMMENT ON COLUMN public.forge_leaders.resigned_at IS 'When the leader stepped down in order; null while the term lasts, and after a leader was lost.';
CREATE TABLE public.forge_migrations (
    set_name text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    execution_ms bigint NOT NULL,
    node text NOT NULL,
    breaking boolean DEFAULT false NOT NULL,
    CONSTRAINT forge_migrations_checksum_check CHECK ((length(checksum) = 64)),
    CONSTRAINT forge_migrations_execution_ms_check CHECK ((execution_ms >= 0)),
    CONSTRAINT forge_migrations_number_check CHECK ((number > 0))
);
CREATE TABLE public.forge_nodes (
    id uuid NOT NULL,
    name text NOT NULL,
    state public.forge_node_state NOT NULL,
    roles text[] NOT NULL,
    address text,
    mesh_address text,
    version text NOT NULL,
    protocol integer NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    lost boolean DEFAULT false NOT NULL,
    build text,
    clock_offset_ms bigint,
    leases_batches boolean DEFAULT false NOT NULL,
    capabilities text[],
    resources jsonb,
    job_names text[],
    CONSTRAINT forge_nodes_check CHECK (((state = 'dead'::public.forge_node_state) = (ended_at IS NOT NULL))),
    CONSTRAINT forge_nodes_check1 CHECK (((state = 'dead'::public.forge_node_state) OR (NOT lost))),
    CONSTRAINT forge_nodes_name_check CHECK ((name <> ''::text)),
    CONSTRAINT forge_nodes_protocol_check CHECK ((protocol > 0))
)
WITH (fillfactor='50', autovacuum_vacuum_threshold='2000', autovacuum_analyze_threshold='2000');
COMMENT ON TABLE public.forge_nodes IS 'One row per process of a node. Rows of dead nodes are kept for a day.';
COMMENT ON COLUMN public.forge_nodes.address IS 'Where it answers HTTP; null without a gateway.';
COMMENT ON COLUMN public.forge_nodes.mesh_address IS 'Where it takes connections of other nodes; null without a mesh.';
COMMENT ON COLUMN public.forge_nodes.protocol IS 'Newest protocol of the mesh that it speaks.';
COMMENT ON COLUMN public.forge_nodes.seen_at IS 'Its last sign of life.';
COMMENT ON COLUMN public.forge_nodes.lost IS 'Another node declared it dead; one that stops in order says so itself.';
COMMENT ON COLUMN public.forge_nodes.build IS 'Hash of the jobs of its binary and of their arguments; null for a version that writes none.';
COMMENT ON COLUMN public.forge_nodes.clock_offset_ms IS 'The database''s clock minus the node''s; null for a version that writes none.';
COMMENT ON COLUMN public.forge_nodes.leases_batches IS 'Rescues batch leases. While a worker without it lives, no node claims in batches.';
COMMENT ON COLUMN public.forge_nodes.capabilities IS 'What the node can do that not every node can; null for a node of a version that does not say.';
COMMENT ON COLUMN public.forge_nodes.resources IS 'What jobs may take of the node at a time, by word; null for a node of a version that does not say.';
COMMENT ON COLUMN public.forge_nodes.job_names IS 'Names of the jobs that it has handlers for; null for a version that writes none.';
CREATE VIEW public.forge_unfinished_jobs AS
 SELECT forge_jobs.id,
    forge_jobs.name,
    forge_jobs.queue,
    forge_jobs.priority,
    forge_jobs.status,
    forge_jobs.ready,
    COALESCE(forge_jobs.due_at, forge_jobs.run_at) AS run_at,
    forge_jobs.attempt,
    forge_jobs.attempts_max,
    forge_jobs.claim,
    forge_jobs.node_id,
    forge_jobs.lease_until,
    forge_jobs.args,
    forge_jobs.identity,
    forge_jobs.trace,
    forge_jobs.last_error,
    forge_jobs.created_at,
    forge_jobs.refused_by,
    forge_jobs.losses,
    NULL::uuid AS lease_id,
    forge_jobs.concurrency_key,
    forge_jobs.rate_key,
    forge_jobs.blocked_by,
    forge_jobs.timeout_ms,
    forge_jobs.waits_for_jobs
   FROM public.forge_jobs
UNION ALL
 SELECT job.id,
    job.name,
    job.queue,
    job.priority,
        CASE
            WHEN (job.id = ANY (lease.begun)) THEN 'running'::public.forge_job_status
            ELSE 'claimed'::public.forge_job_status
        END AS status,
    job.ready,
    job.run_at,
    (job.attempt + ((job.id = ANY (lease.begun)))::integer) AS attempt,
    job.attempts_max,
    (job.claim + 1) AS claim,
    lease.node_id,
    lease.lease_until,
    job.args,
    job.identity,
    job.trace,
    COALESCE(lease.error, job.last_error) AS last_error,
    job.created_at,
    job.refused_by,
    job.losses,
    lease.id AS lease_id,
    NULL::text AS concurrency_key,
    NULL::text AS rate_key,
    NULL::text AS blocked_by,
    job.timeout_ms,
    NULL::boolean AS waits_for_jobs
   FROM (public.forge_job_leases lease
     CROSS JOIN LATERAL unnest(lease.jobs) job(id, name, queue, priority, status, ready, run_at, attempt, attempts_max, claim, node_id, lease_until, args, identity, trace, last_error, created_at, refused_by, batched, losses, concurrency_key, rate_key, blocked_by, due_at, timeout_ms, aged_at, followed, awaited, waits_for_jobs))
  WHERE ((NOT (job.id = ANY (lease.gone))) AND (NOT (EXISTS ( SELECT
           FROM public.forge_job_history history
          WHERE (history.id = job.id)))));
COMMENT ON VIEW public.forge_unfinished_jobs IS 'Jobs that are not finished, those in batch leases included.';
CREATE TABLE public.forge_used_links (
    id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE public.forge_used_links IS 'One-time sign-in links that were redeemed; a row goes once its link would have expired anyway.';
CREATE TABLE public.forge_workflow_attempts (
    run_id uuid NOT NULL,
    "position" text NOT NULL COLLATE pg_catalog."C",
    owner_id bigint NOT NULL,
    claim integer NOT NULL,
    kind public.forge_workflow_step_kind NOT NULL,
    name text NOT NULL,
    attempt integer NOT NULL,
    began_at timestamp with time zone NOT NULL,
    CONSTRAINT forge_workflow_attempts_attempt_check CHECK ((attempt > 0))
)
WITH (autovacuum_vacuum_threshold='2000', autovacuum_analyze_threshold='2000');
COMMENT ON TABLE public.forge_workflow_attempts IS 'Attempts at steps that have been executing for a second. Their owner writes which they are, at most twice a second; the journal knows nothing of them. A row says nothing any more when its run has another claim, or its step has ended or spent that attempt.';
COMMENT ON COLUMN public.forge_workflow_attempts.owner_id IS 'The lease of the node that executes it. The row of a lost lease stays: its attempt was cut off.';
COMMENT ON COLUMN public.forge_workflow_attempts.claim IS 'The activation of the run that has begun the attempt.';
CREATE TABLE public.forge_workflow_events (
    id bigint NOT NULL,
    event text NOT NULL,
    key text NOT NULL,
    run_id uuid,
    once text,
    payload json NOT NULL,
    emitted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    routed boolean DEFAULT false NOT NULL,
    routed_at timestamp with time zone,
    CONSTRAINT forge_workflow_events_event_check CHECK ((event <> ''::text))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.forge_workflow_events IS 'Events that runs may wait for, and signals to one run: they are kept for runs that wait later. Ends of runs and jobs that others wait for: they are deleted when they are routed.';
COMMENT ON COLUMN public.forge_workflow_events.run_id IS 'The run that a signal is for; null for an event, which reaches every run that waits for it.';
COMMENT ON COLUMN public.forge_workflow_events.once IS 'The idempotency key that it was emitted with.';
COMMENT ON COLUMN public.forge_workflow_events.routed IS 'The runs that waited for it then were woken.';
COMMENT ON COLUMN public.forge_workflow_events.routed_at IS 'When that was, after the commit of the event: a run that began between its emission and its commit still finds it.';
ALTER TABLE public.forge_workflow_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.forge_workflow_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.forge_workflow_keys (
    workflow text NOT NULL,
    tenant text NOT NULL,
    key text NOT NULL,
    run_id uuid NOT NULL
);
COMMENT ON TABLE public.forge_workflow_keys IS 'The run that was started last with this id of the application, by a caller of this tenant; empty for callers without one. No foreign key: the run is in forge_workflow_runs or in the history; the key goes with the history.';
CREATE TABLE public.forge_workflow_owners (
    id bigint NOT NULL,
    node_id uuid NOT NULL,
    node_name text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    renewed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    lost_at timestamp with time zone,
    crashed boolean DEFAULT true NOT NULL,
    CONSTRAINT forge_workflow_owners_node_name_check CHECK ((node_name <> ''::text))
)
WITH (fillfactor='50');
COMMENT ON TABLE public.forge_workflow_owners IS 'Leases of nodes that run workflows. A write about a run locks the row of its owner for key share; taking the runs of an owner over locks that row for update and sets lost_at first. So no write of an owner is committed after its lease was taken.';
COMMENT ON COLUMN public.forge_workflow_owners.id IS 'The fencing number of all runs that this owner holds; a process that lost its lease goes on under a new one.';
COMMENT ON COLUMN public.forge_workflow_owners.lost_at IS 'Since when its runs may be taken; never set back.';
COMMENT ON COLUMN public.forge_workflow_owners.crashed IS 'Of a lost lease: its process was gone. False of one that was given up, or that has run out while its process may have been alive, as in an outage of the database: the ends of its runs are not counted as crashes.';
ALTER TABLE public.forge_workflow_owners ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.forge_workflow_owners_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.forge_workflow_progress (
    id uuid NOT NULL,
    run_id uuid NOT NULL,
    followers text[] NOT NULL,
    status public.forge_workflow_status NOT NULL,
    compensating boolean NOT NULL,
    due_at timestamp with time zone,
    published json,
    result json,
    failure json,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT forge_workflow_progress_finished CHECK (((status = ANY (ARRAY['completed'::public.forge_workflow_status, 'failed'::public.forge_workflow_status, 'cancelled'::public.forge_workflow_status, 'terminated'::public.forge_workflow_status])) = (finished_at IS NOT NULL))),
    CONSTRAINT forge_workflow_progress_outcome CHECK (((finished_at IS NOT NULL) OR ((result IS NULL) AND (failure IS NULL))))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.forge_workflow_progress IS 'How far runs are that clients follow. A copy of what forge_workflow_runs and forge_workflow_history say, in a table of which changes are captured; triggers of those two write it.';
COMMENT ON COLUMN public.forge_workflow_progress.id IS 'The run that a handle names.';
COMMENT ON COLUMN public.forge_workflow_progress.run_id IS 'The run that it is now: another one after it went on as a new run.';
COMMENT ON COLUMN public.forge_workflow_progress.followers IS 'The identities that have a handle of the run, as JSON.';
COMMENT ON COLUMN public.forge_workflow_progress.due_at IS 'When a run that waits goes on at the latest.';
CREATE TABLE public.forge_workflow_steps (
    run_id uuid NOT NULL,
    "position" text NOT NULL COLLATE pg_catalog."C",
    kind public.forge_workflow_step_kind NOT NULL,
    status public.forge_workflow_step_status NOT NULL,
    name text NOT NULL,
    shape bigint NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    number integer,
    input json,
    output json,
    error json,
    failures jsonb,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    due_at timestamp with time zone,
    event text,
    event_key text,
    event_id bigint,
    awaits uuid,
    CONSTRAINT forge_workflow_steps_event CHECK (((event IS NULL) = (event_key IS NULL))),
    CONSTRAINT forge_workflow_steps_finished CHECK (((status = ANY (ARRAY['completed'::public.forge_workflow_step_status, 'failed'::public.forge_workflow_step_status, 'skipped'::public.forge_workflow_step_status, 'abandoned'::public.forge_workflow_step_status])) = (finished_at IS NOT NULL)))
)
WITH (autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.forge_workflow_steps IS 'The journal: what the steps of runs have returned, and what runs wait for. No foreign key: the run is in forge_workflow_runs or in the history.';
COMMENT ON COLUMN public.forge_workflow_steps."position" IS 'Place in the code: 4, or 5.0.1 for the first step of the first branch of a group.';
COMMENT ON COLUMN public.forge_workflow_steps.shape IS 'Hash of the form of arguments and result; other code has another one.';
COMMENT ON COLUMN public.forge_workflow_steps.number IS 'The order in which steps have ended, from 1; compensation goes backwards.';
COMMENT ON COLUMN public.forge_workflow_steps.failures IS 'Failed attempts, the last ones: when, and why.';
COMMENT ON COLUMN public.forge_workflow_steps.event_id IS 'The event that was consumed; an event is consumed once by a run.';
ALTER TABLE ONLY public.forge_audit
    ADD CONSTRAINT forge_audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_change_marks
    ADD CONSTRAINT forge_change_marks_pkey PRIMARY KEY (at);
ALTER TABLE ONLY public.forge_change_state
    ADD CONSTRAINT forge_change_state_pkey PRIMARY KEY (singleton);
ALTER TABLE ONLY public.forge_crashes
    ADD CONSTRAINT forge_crashes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_cron_runs
    ADD CONSTRAINT forge_cron_runs_pkey PRIMARY KEY (cron_id, scheduled_at);
ALTER TABLE ONLY public.forge_crons
    ADD CONSTRAINT forge_crons_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_failed_attempts
    ADD CONSTRAINT forge_failed_attempts_pkey PRIMARY KEY (job_id, claim);
ALTER TABLE ONLY public.forge_idempotency
    ADD CONSTRAINT forge_idempotency_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.forge_job_buffers
    ADD CONSTRAINT forge_job_buffers_pkey PRIMARY KEY (file);
ALTER TABLE ONLY public.forge_job_bulks
    ADD CONSTRAINT forge_job_bulks_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY public.forge_job_dependencies
    ADD CONSTRAINT forge_job_dependencies_pkey PRIMARY KEY (waiter_id, number);
ALTER TABLE ONLY public.forge_job_history
    ADD CONSTRAINT forge_job_history_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_job_keys
    ADD CONSTRAINT forge_job_keys_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.forge_job_leases
    ADD CONSTRAINT forge_job_leases_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_job_limits
    ADD CONSTRAINT forge_job_limits_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.forge_job_log
    ADD CONSTRAINT forge_job_log_pkey PRIMARY KEY (job_id, claim, number);
ALTER TABLE ONLY public.forge_job_progress
    ADD CONSTRAINT forge_job_progress_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_job_queues
    ADD CONSTRAINT forge_job_queues_pkey PRIMARY KEY (queue);
ALTER TABLE ONLY public.forge_jobs
    ADD CONSTRAINT forge_jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_leader_history
    ADD CONSTRAINT forge_leader_history_pkey PRIMARY KEY (name, epoch);
ALTER TABLE ONLY public.forge_leaders
    ADD CONSTRAINT forge_leaders_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.forge_migrations
    ADD CONSTRAINT forge_migrations_pkey PRIMARY KEY (set_name, number);
ALTER TABLE ONLY public.forge_nodes
    ADD CONSTRAINT forge_nodes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_used_links
    ADD CONSTRAINT forge_used_links_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_workflow_attempts
    ADD CONSTRAINT forge_workflow_attempts_pkey PRIMARY KEY (run_id, "position");
ALTER TABLE ONLY public.forge_workflow_events
    ADD CONSTRAINT forge_workflow_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_workflow_history
    ADD CONSTRAINT forge_workflow_history_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_workflow_keys
    ADD CONSTRAINT forge_workflow_keys_pkey PRIMARY KEY (workflow, tenant, key);
ALTER TABLE ONLY public.forge_workflow_owners
    ADD CONSTRAINT forge_workflow_owners_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_workflow_progress
    ADD CONSTRAINT forge_workflow_progress_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_workflow_runs
    ADD CONSTRAINT forge_workflow_runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_workflow_steps
    ADD CONSTRAINT forge_workflow_steps_pkey PRIMARY KEY (run_id, "position");
CREATE INDEX forge_audit_at ON public.forge_audit USING btree (at);
CREATE INDEX forge_changes_xid ON public.forge_changes USING btree (xid);
CREATE INDEX forge_crashes_at ON public.forge_crashes USING btree (at);
CREATE INDEX forge_cron_runs_created_at ON public.forge_cron_runs USING btree (created_at);
CREATE INDEX forge_cron_runs_open ON public.forge_cron_runs USING btree (cron_id, scheduled_at) WHERE (status = ANY (ARRAY['waiting'::public.forge_cron_status, 'dispatched'::public.forge_cron_status]));
CREATE INDEX forge_crons_due ON public.forge_crons USING btree (next_at) WHERE ((paused_at IS NULL) AND (NOT is_absent));
CREATE UNIQUE INDEX forge_crons_name ON public.forge_crons USING btree (source, COALESCE(tenant, ''::text), name);
CREATE INDEX forge_idempotency_created_at ON public.forge_idempotency USING btree (created_at);
CREATE INDEX forge_job_bulks_started_at ON public.forge_job_bulks USING btree (started_at);
CREATE INDEX forge_job_dependencies_created_at ON public.forge_job_dependencies USING brin (created_at) WITH (autosummarize='on');
CREATE INDEX forge_job_dependencies_job ON public.forge_job_dependencies USING btree (job_id);
CREATE INDEX forge_job_dependencies_open ON public.forge_job_dependencies USING btree (waiter_id, number) WHERE (ended IS NULL);
CREATE INDEX forge_job_history_failed ON public.forge_job_history USING btree (finished_at) WHERE (status = ANY (ARRAY['failed'::public.forge_job_status, 'dead_letter'::public.forge_job_status]));
CREATE INDEX forge_job_history_finished_at ON public.forge_job_history USING brin (finished_at) WITH (autosummarize='on');
CREATE INDEX forge_job_history_unsuccessful ON public.forge_job_history USING btree (status, id) WHERE (status <> 'completed'::public.forge_job_status);
CREATE INDEX forge_job_keys_expires_at ON public.forge_job_keys USING btree (COALESCE(expires_at, created_at));
CREATE INDEX forge_job_progress_finished_at ON public.forge_job_progress USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX forge_job_progress_unfinished ON public.forge_job_progress USING btree (id) WHERE (finished_at IS NULL);
CREATE INDEX forge_jobs_blocked ON public.forge_jobs USING btree (blocked_by, "left"(COALESCE((identity ->> 'tenant'::text), ''::text), 200), priority DESC, due_at, id) WHERE (blocked_by IS NOT NULL);
CREATE INDEX forge_jobs_claimable ON public.forge_jobs USING btree (queue, priority DESC, run_at, id) WHERE (ready AND (node_id IS NULL));
CREATE INDEX forge_jobs_concurrency ON public.forge_jobs USING btree (concurrency_key, ((node_id IS NOT NULL))) WHERE (ready AND (concurrency_key IS NOT NULL));
CREATE INDEX forge_jobs_failing ON public.forge_jobs USING btree (id) WHERE (last_error IS NOT NULL);
CREATE INDEX forge_jobs_held ON public.forge_jobs USING btree (node_id) WHERE (node_id IS NOT NULL);
CREATE INDEX forge_jobs_rate ON public.forge_jobs USING btree (rate_key) WHERE (ready AND (rate_key IS NOT NULL) AND (node_id IS NULL));
CREATE INDEX forge_jobs_scheduled ON public.forge_jobs USING btree (run_at) WHERE (NOT ready);
CREATE INDEX forge_jobs_waiting ON public.forge_jobs USING btree (id) WHERE waits_for_jobs;
CREATE INDEX forge_leader_history_ended_at ON public.forge_leader_history USING btree (ended_at);
CREATE INDEX forge_workflow_attempts_owner ON public.forge_workflow_attempts USING btree (owner_id);
CREATE INDEX forge_workflow_events_emitted_at ON public.forge_workflow_events USING brin (emitted_at) WITH (autosummarize='on');
CREATE INDEX forge_workflow_events_key ON public.forge_workflow_events USING btree (event, key, COALESCE(routed_at, 'infinity'::timestamp with time zone), id);
CREATE UNIQUE INDEX forge_workflow_events_once ON public.forge_workflow_events USING btree (event, key, once) WHERE (once IS NOT NULL);
CREATE INDEX forge_workflow_events_run ON public.forge_workflow_events USING btree (run_id) WHERE (run_id IS NOT NULL);
CREATE INDEX forge_workflow_events_unrouted ON public.forge_workflow_events USING btree (id) WHERE (NOT routed);
CREATE INDEX forge_workflow_history_attributes ON public.forge_workflow_history USING gin (attributes jsonb_path_ops) WHERE (attributes IS NOT NULL);
CREATE INDEX forge_workflow_history_continues ON public.forge_workflow_history USING btree (continues) WHERE (continues IS NOT NULL);
CREATE INDEX forge_workflow_history_expires_at ON public.forge_workflow_history USING btree (expires_at);
CREATE INDEX forge_workflow_history_finished_at ON public.forge_workflow_history USING brin (finished_at) WITH (autosummarize='on');
CREATE INDEX forge_workflow_history_parent ON public.forge_workflow_history USING btree (parent_id) WHERE (parent_id IS NOT NULL);
CREATE INDEX forge_workflow_history_unsuccessful ON public.forge_workflow_history USING btree (status, id) WHERE (status = ANY (ARRAY['failed'::public.forge_workflow_status, 'cancelled'::public.forge_workflow_status, 'terminated'::public.forge_workflow_status]));
CREATE INDEX forge_workflow_keys_run ON public.forge_workflow_keys USING btree (run_id);
CREATE INDEX forge_workflow_progress_run ON public.forge_workflow_progress USING btree (run_id);
CREATE INDEX forge_workflow_runs_attributes ON public.forge_workflow_runs USING gin (attributes jsonb_path_ops) WHERE (attributes IS NOT NULL);
CREATE INDEX forge_workflow_runs_continues ON public.forge_workflow_runs USING btree (continues) WHERE (continues IS NOT NULL);
CREATE INDEX forge_workflow_runs_due ON public.forge_workflow_runs USING btree (workflow, version, due_at) WHERE (status = ANY (ARRAY['ready'::public.forge_workflow_status, 'waiting'::public.forge_workflow_status]));
CREATE INDEX forge_workflow_runs_key ON public.forge_workflow_runs USING btree (workflow, key) WHERE (key IS NOT NULL);
CREATE INDEX forge_workflow_runs_owned_by ON public.forge_workflow_runs USING btree (owner_id) WHERE (owner_id IS NOT NULL);
CREATE INDEX forge_workflow_runs_parent ON public.forge_workflow_runs USING btree (parent_id) WHERE (parent_id IS NOT NULL);
CREATE INDEX forge_workflow_runs_parked ON public.forge_workflow_runs USING btree (status, id) WHERE (status = ANY (ARRAY['paused'::public.forge_workflow_status, 'diverged'::public.forge_workflow_status, 'compensation_failed'::public.forge_workflow_status]));
CREATE INDEX forge_workflow_steps_awaits ON public.forge_workflow_steps USING btree (awaits) WHERE ((status = 'waiting'::public.forge_workflow_step_status) AND (awaits IS NOT NULL));
CREATE UNIQUE INDEX forge_workflow_steps_consumed ON public.forge_workflow_steps USING btree (run_id, event_id) WHERE (event_id IS NOT NULL);
CREATE INDEX forge_workflow_steps_event ON public.forge_workflow_steps USING btree (event, event_key) WHERE ((status = 'waiting'::public.forge_workflow_step_status) AND (event IS NOT NULL));
CREATE TRIGGER forge_capture_delete AFTER DELETE ON public.forge_job_progress REFERENCING OLD TABLE AS forge_rows FOR EACH STATEMENT EXECUTE FUNCTION public.forge_capture();
ALTER TABLE public.forge_job_progress ENABLE ALWAYS TRIGGER forge_capture_delete;
CREATE TRIGGER forge_capture_delete AFTER DELETE ON public.forge_workflow_progress REFERENCING OLD TABLE AS forge_rows FOR EACH STATEMENT EXECUTE FUNCTION public.forge_capture();
ALTER TABLE public.forge_workflow_progress ENABLE ALWAYS TRIGGER forge_capture_delete;
CREATE TRIGGER forge_capture_insert AFTER INSERT ON public.forge_job_progress REFERENCING NEW TABLE AS forge_rows FOR EACH STATEMENT EXECUTE FUNCTION public.forge_capture();
ALTER TABLE public.forge_job_progress ENABLE ALWAYS TRIGGER forge_capture_insert;
CREATE TRIGGER forge_capture_insert AFTER INSERT ON public.forge_workflow_progress REFERENCING NEW TABLE AS forge_rows FOR EACH STATEMENT EXECUTE FUNCTION public.forge_capture();
ALTER TABLE public.forge_workflow_progress ENABLE ALWAYS TRIGGER forge_capture_insert;
CREATE TRIGGER forge_capture_truncate AFTER TRUNCATE ON public.forge_job_progress FOR EACH STATEMENT EXECUTE FUNCTION public.forge_capture_truncate();
ALTER TABLE public.forge_job_progress ENABLE ALWAYS TRIGGER forge_capture_truncate;
CREATE TRIGGER forge_capture_truncate AFTER TRUNCATE ON public.forge_workflow_progress FOR EACH STATEMENT EXECUTE FUNCTION public.forge_capture_truncate();
ALTER TABLE public.forge_workflow_progress ENABLE ALWAYS TRIGGER forge_capture_truncate;
CREATE TRIGGER forge_capture_update AFTER UPDATE ON public.forge_job_progress REFERENCING NEW TABLE AS forge_rows FOR EACH STATEMENT EXECUTE FUNCTION public.forge_capture();
ALTER TABLE public.forge_job_progress ENABLE ALWAYS TRIGGER forge_capture_update;
CREATE TRIGGER forge_capture_update AFTER UPDATE ON public.forge_workflow_progress REFERENCING NEW TABLE AS forge_rows FOR EACH STATEMENT EXECUTE FUNCTION public.forge_capture();
ALTER TABLE public.forge_workflow_progress ENABLE ALWAYS TRIGGER forge_capture_update;
CREATE TRIGGER forge_follow_ended AFTER INSERT ON public.forge_workflow_history FOR EACH ROW WHEN ((new.followed AND (new.status <> 'continued'::public.forge_workflow_status))) EXECUTE FUNCTION public.forge_follow_ended_run();
CREATE TRIGGER forge_follow_inserted AFTER INSERT ON public.forge_workflow_runs FOR EACH ROW WHEN (new.followed) EXECUTE FUNCTION public.forge_follow_live_run();
CREATE TRIGGER forge_follow_updated AFTER UPDATE ON public.forge_workflow_runs FOR EACH ROW WHEN ((new.followed AND ((((new.status IS DISTINCT FROM old.status) OR (new.ending IS DISTINCT FROM old.ending)) OR (new.due_at IS DISTINCT FROM old.due_at)) OR ((new.published)::text IS DISTINCT FROM (old.published)::text)))) EXECUTE FUNCTION public.forge_follow_live_run();
ALTER TABLE ONLY public.forge_cron_runs
    ADD CONSTRAINT forge_cron_runs_cron_id_fkey FOREIGN KEY (cron_id) REFERENCES public.forge_crons(id) ON DELETE CASCADE;
CREATE EVENT TRIGGER forge_definitions ON ddl_command_end
         WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'CREATE VIEW', 'ALTER VIEW', 'CREATE MATERIALIZED VIEW', 'ALTER MATERIALIZED VIEW', 'REFRESH MATERIALIZED VIEW', 'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE AGGREGATE', 'CREATE POLICY', 'ALTER POLICY', 'CREATE RULE', 'ALTER RULE', 'CREATE SCHEMA', 'ALTER SCHEMA', 'ALTER TYPE', 'ALTER DOMAIN')
   EXECUTE FUNCTION public.forge_report_definitions();
ALTER EVENT TRIGGER forge_definitions ENABLE ALWAYS;
CREATE EVENT TRIGGER forge_drops ON sql_drop
   EXECUTE FUNCTION public.forge_report_drops();
ALTER EVENT TRIGGER forge_drops ENABLE ALWAYS;
