-- Change capture: a logged outbox of what each transaction wrote, filled by statement-level triggers, read by every node.
-- How it is read and swept stands in forge-actors/src/change/mod.rs.

-- @up
-- Its constraints are those of types: a CHECK is parsed anew by each statement that inserts, which made a write 40 us dearer. Only the functions below
-- insert. For the same reason there is one index, no sequence, no time and no number of rows.
CREATE TABLE forge_changes (
    xid  xid8   NOT NULL DEFAULT pg_current_xact_id(),
    tbl  oid    NOT NULL,
    op   "char" NOT NULL,
    keys jsonb
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
-- Somebody may publish all tables, and the sweep must be able to delete from a table without a key.
ALTER TABLE forge_changes REPLICA IDENTITY FULL;
COMMENT ON TABLE forge_changes IS 'What transactions wrote: one row for each table, or for each statement on a table with tracked columns. No foreign key: tbl is an oid of pg_class, and outlives its table. Kept for capture.retention.';
COMMENT ON COLUMN forge_changes.xid IS 'The transaction; its rows become visible with its commit, all at once.';
COMMENT ON COLUMN forge_changes.tbl IS 'The table that the statement named: a partitioned table or a partition. 0 for definitions.';
COMMENT ON COLUMN forge_changes.op IS 'I, U, D, T: insert, update, delete, truncate, of the statement that left the row; X: a definition changed (DDL), so that any query may have another result.';
COMMENT ON COLUMN forge_changes.keys IS 'Tracked column -> its distinct old and new values as texts, or null for too many. Null: the whole table may have changed.';

CREATE INDEX forge_changes_xid ON forge_changes (xid);

CREATE TABLE forge_change_state (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    horizon     xid8    NOT NULL DEFAULT '0',
    fingerprint int8
);
COMMENT ON TABLE forge_change_state IS 'One row. Locked for a moment by the sweep of forge_changes, read with every look at it.';
COMMENT ON COLUMN forge_change_state.horizon IS 'Changes of transactions before this one may be gone.';
COMMENT ON COLUMN forge_change_state.fingerprint IS 'Of all definitions, compared by the sweep where no event trigger reports DDL.';
INSERT INTO forge_change_state DEFAULT VALUES;

CREATE TABLE forge_change_marks (
    at           timestamptz PRIMARY KEY DEFAULT now(),
    ended_before xid8        NOT NULL
);
COMMENT ON TABLE forge_change_marks IS 'Every transaction before ended_before had ended at this time: what lets forge_changes do without a time in each row. Kept for capture.retention.';

-- Without tracked columns: the first statement of a transaction that changes rows of the table leaves a row, later ones see in the
-- setting that it is there. Both roll back with a savepoint. The setting is also what a commit is told from.
--
-- It runs in every write, as its owner, whoever writes. So its names are qualified: a SET clause would cost 20 us a call.
DO $migration$
BEGIN
    EXECUTE format($template$
        CREATE FUNCTION forge_capture() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $function$
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
            INSERT INTO %1$I.forge_changes (tbl, op) SELECT TG_RELID, TG_OP::pg_catalog."char" FROM forge_rows LIMIT 1;
            IF FOUND THEN
                told := pg_catalog.set_config('forge.changed', pg_catalog.concat(told, ',', TG_RELID), true);
            END IF;
            RETURN NULL;
        END
        $function$;

        CREATE FUNCTION forge_capture_truncate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $function$
        DECLARE
            told pg_catalog.text := pg_catalog.current_setting('forge.changed', true);
        BEGIN
            INSERT INTO %1$I.forge_changes (tbl, op) VALUES (TG_RELID, 'T');
            told := pg_catalog.set_config('forge.changed', pg_catalog.concat(told, ',', TG_RELID), true);
            RETURN NULL;
        END
        $function$;
    $template$, current_schema());
END
$migration$;

-- The function that captures these columns; it is made when it is new. Its text holds the columns, so that plans are kept, and nothing of a
-- table, so that tables with equally named columns share one.
--
-- A column that was dropped or renamed must not fail its table's writes: from then on the whole table counts as changed. So it does when
-- a statement changes more rows than are worth sorting.
CREATE FUNCTION forge_capture_function(track text[]) RETURNS regproc LANGUAGE plpgsql AS $function$
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
$function$;

-- What captures a table's changes; null for a table of which not all are captured.
CREATE FUNCTION forge_capture_of(target regclass) RETURNS regproc LANGUAGE sql STABLE AS $function$
    SELECT max(tgfoid) FILTER (WHERE tgname = 'forge_capture_update')::regproc FROM pg_trigger
    WHERE tgrelid = target AND tgenabled = 'A'
    AND tgname IN ('forge_capture_insert', 'forge_capture_update', 'forge_capture_delete', 'forge_capture_truncate')
    HAVING count(*) = 4
$function$;

-- Puts the triggers on one table; true when they were not there. The lock is the one that CREATE TRIGGER takes, and under it nobody else installs.
CREATE FUNCTION forge_install_capture(target regclass, capture regproc) RETURNS boolean LANGUAGE plpgsql AS $function$
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
$function$;

-- A table, its partitions and theirs, those that inherit from it. Foreign tables cannot be captured.
CREATE FUNCTION forge_members_of(target regclass) RETURNS SETOF regclass LANGUAGE sql STABLE AS $function$
    WITH RECURSIVE member(oid) AS (
        SELECT target::oid UNION SELECT inhrelid FROM pg_inherits JOIN member ON inhparent = member.oid
    )
    SELECT oid::regclass FROM member JOIN pg_class USING (oid) WHERE relkind IN ('r', 'p') ORDER BY oid
$function$;

-- Captures what is written to the table and its partitions, also to those to come. With `track`, the distinct old and new values of these
-- columns are kept too. Calling it again changes the tracked columns, or nothing.
CREATE FUNCTION forge_enable_reactivity(target regclass, track text[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $function$
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
$function$;

-- Ends the capture of a table and its partitions. A partition of a captured table follows that one.
CREATE FUNCTION forge_disable_reactivity(target regclass) RETURNS void LANGUAGE plpgsql AS $function$
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
$function$;

-- Drops the functions of tracked columns that no trigger names any more.
CREATE FUNCTION forge_drop_unused_captures() RETURNS void LANGUAGE plpgsql AS $function$
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
$function$;

-- What was committed since the snapshot `since` (null: nothing), as the caller's statement sees it. Its rows are those of the transactions that
-- `since` does not see: what was in progress then, and what began later. Reads at most `rows_max` of the latter, and says if there are more.
--
-- STABLE makes everything here run in the statement's snapshot. The settings make it the same two index scans whatever the statistics say,
-- without planning: it runs every few milliseconds (0.15 ms a call). The upper end leaves out rows of another server that came here in a dump.
CREATE FUNCTION forge_read_changes(
    since pg_snapshot, rows_max int4,
    OUT snapshot pg_snapshot, OUT horizon xid8, OUT server_started timestamptz, OUT too_many boolean, OUT tables oid[]
) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_sort = off
AS $function$
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
$function$;

-- Captures the partitions that captured tables got since; how many there were. Called for every DDL by the event trigger, and by the sweep.
CREATE FUNCTION forge_cover_partitions() RETURNS int8 LANGUAGE sql AS $function$
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
$function$;

-- Reports DDL that can change what a query reads: as a change of everything, since the views and functions between a query and its tables are
-- not followed. REFRESH is a change of one relation like others.
CREATE FUNCTION forge_report_definitions() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $function$
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
$function$;

CREATE FUNCTION forge_report_drops() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $function$
BEGIN
    IF EXISTS (
        SELECT FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary
        AND object_type IN ('table', 'view', 'materialized view', 'foreign table', 'function', 'aggregate', 'policy', 'rule', 'table column', 'schema')
    ) THEN
        INSERT INTO forge_changes (tbl, op) VALUES (0, 'X');
    END IF;
END
$function$;

-- These look names up where Forge's tables are, whoever calls them from wherever.
DO $migration$
DECLARE
    name regprocedure;
BEGIN
    FOR name IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'forge\_%'
        AND proname NOT IN ('forge_capture', 'forge_capture_truncate', 'forge_touch')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END
$migration$;

-- Only superusers, and on managed servers their like, may create event triggers. Without them the sweep covers new partitions and compares a
-- fingerprint of all definitions, so that DDL is noticed seconds later instead of with its commit.
DO $migration$
BEGIN
    CREATE EVENT TRIGGER forge_definitions ON ddl_command_end
        WHEN TAG IN (
            'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE',
            'CREATE VIEW', 'ALTER VIEW', 'CREATE MATERIALIZED VIEW', 'ALTER MATERIALIZED VIEW', 'REFRESH MATERIALIZED VIEW',
            'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE AGGREGATE', 'CREATE POLICY', 'ALTER POLICY', 'CREATE RULE', 'ALTER RULE',
            'CREATE SCHEMA', 'ALTER SCHEMA', 'ALTER TYPE', 'ALTER DOMAIN'
        ) EXECUTE FUNCTION forge_report_definitions();
    CREATE EVENT TRIGGER forge_drops ON sql_drop EXECUTE FUNCTION forge_report_drops();
    ALTER EVENT TRIGGER forge_definitions ENABLE ALWAYS;
    ALTER EVENT TRIGGER forge_drops ENABLE ALWAYS;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'the event triggers were not created: % (changed definitions are noticed by the sweep)', SQLERRM;
END
$migration$;

-- @down
DROP FUNCTION forge_report_definitions() CASCADE;
DROP FUNCTION forge_report_drops() CASCADE;
DO $migration$
DECLARE
    capture regprocedure;
BEGIN
    FOR capture IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND prorettype = 'trigger'::regtype AND proname ~ '^forge_capture(_truncate|_[0-9a-f]{12})?$'
    LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', capture);
    END LOOP;
END
$migration$;
DROP FUNCTION forge_cover_partitions();
DROP FUNCTION forge_read_changes(pg_snapshot, int4);
DROP FUNCTION forge_drop_unused_captures();
DROP FUNCTION forge_disable_reactivity(regclass);
DROP FUNCTION forge_enable_reactivity(regclass, text[]);
DROP FUNCTION forge_members_of(regclass);
DROP FUNCTION forge_install_capture(regclass, regproc);
DROP FUNCTION forge_capture_of(regclass);
DROP FUNCTION forge_capture_function(text[]);
DROP TABLE forge_change_marks;
DROP TABLE forge_change_state;
DROP TABLE forge_changes;
