//! Every way to write a table leaves its trace, and what wrote nothing leaves none.

use forge_actors::db::transaction::TransactionOptions;
use forge_actors::kernel::commit::TableId;
use sqlx::postgres::types::Oid;

use super::{NOTHING, Stage};

const SCHEMA: &str = "
    CREATE TABLE t (id int PRIMARY KEY, org int NOT NULL DEFAULT 1, name text);
    CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE);
    CREATE TABLE other (id int);
    CREATE TABLE unseen (id int);

    CREATE TABLE ev (id int, d int) PARTITION BY RANGE (d);
    CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
    CREATE TABLE ev_2 PARTITION OF ev FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (d);
    CREATE TABLE ev_2a PARTITION OF ev_2 FOR VALUES FROM (10) TO (15);

    CREATE TABLE inh (id int);
    CREATE TABLE inh_child (extra int) INHERITS (inh);

    CREATE VIEW easy AS SELECT id, name FROM t WHERE org = 1;
    CREATE VIEW hard AS SELECT t.id, other.id AS other FROM t, other;
    CREATE FUNCTION write_both() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO t (id) VALUES (NEW.id); INSERT INTO other VALUES (NEW.other); RETURN NEW; END $$;
    CREATE TRIGGER hard INSTEAD OF INSERT ON hard FOR EACH ROW EXECUTE FUNCTION write_both();
    CREATE VIEW ruled AS SELECT id FROM unseen;
    CREATE RULE ruled AS ON INSERT TO ruled DO INSTEAD INSERT INTO other VALUES (NEW.id);

    CREATE FUNCTION write_other() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO other VALUES (1); RETURN 1; END $$;
    CREATE FUNCTION write_dynamic(name text) RETURNS int LANGUAGE plpgsql AS $$
        BEGIN EXECUTE format('INSERT INTO %I VALUES (1)', name); RETURN 1; END $$;
    CREATE FUNCTION write_elsewhere() RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog AS $$
        BEGIN INSERT INTO public.other VALUES (1); RETURN 1; END $$;
    CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO other VALUES (2); RETURN NULL; END $$;
    CREATE TABLE deferred (id int);
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM t;
    GRANT SELECT, INSERT ON t TO pg_monitor;
";
const CAPTURED: &[&str] = &["t", "child", "other", "ev", "inh", "deferred"];

/// Statements, and the tables that the poll after them returns.
const CORPUS: &[(&str, &str)] = &[
    // Plain, and without effect.
    ("INSERT INTO t (id) VALUES (1), (2), (3)", "t"),
    ("UPDATE t SET name = 'a' WHERE id = 1", "t"),
    ("UPDATE t SET name = 'a' WHERE id = 99", NOTHING),
    ("DELETE FROM t WHERE id = 3", "t"),
    ("DELETE FROM t WHERE id = 99", NOTHING),
    ("INSERT INTO t (id) SELECT 9 WHERE false", NOTHING),
    ("INSERT INTO unseen VALUES (1)", NOTHING),
    ("BEGIN; INSERT INTO t (id) VALUES (50); ROLLBACK", NOTHING),
    ("SELECT * FROM t FOR UPDATE", NOTHING),
    // Several tables, and names that hide tables.
    (
        "WITH gone AS (DELETE FROM t WHERE id = 2 RETURNING id) INSERT INTO other SELECT id FROM gone",
        "other t",
    ),
    ("WITH other AS (INSERT INTO t (id) VALUES (4) RETURNING id) SELECT * FROM other", "t"),
    ("INSERT INTO t (id) VALUES (4) ON CONFLICT DO NOTHING", NOTHING),
    ("INSERT INTO t (id) VALUES (4) ON CONFLICT (id) DO UPDATE SET name = 'b'", "t"),
    (
        "MERGE INTO t USING (VALUES (4), (5)) AS s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = \
            'c' WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
        "t",
    ),
    ("MERGE INTO t USING (VALUES (77)) AS s(id) ON t.id = s.id WHEN MATCHED THEN DELETE", NOTHING),
    (
        "BEGIN; DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE; FETCH c; UPDATE t SET name = 'd' WHERE \
            CURRENT OF c; COMMIT",
        "t",
    ),
    // Cascades and truncation.
    ("INSERT INTO child VALUES (1, 4)", "child"),
    ("DELETE FROM t WHERE id = 4", "child t"),
    ("TRUNCATE t CASCADE", "child t"),
    ("TRUNCATE other", "other"),
    // Partitions: a write to a partition counts as a change of its parents, and the other way round.
    ("INSERT INTO ev VALUES (1, 1)", "ev ev_1 ev_2 ev_2a"),
    ("INSERT INTO ev_1 VALUES (2, 2)", "ev ev_1"),
    ("INSERT INTO ev_2a VALUES (3, 12)", "ev ev_2 ev_2a"),
    ("UPDATE ev SET d = 11 WHERE id = 1", "ev ev_1 ev_2 ev_2a"),
    ("DELETE FROM ev_2", "ev ev_2 ev_2a"),
    ("TRUNCATE ev_1", "ev ev_1"),
    ("INSERT INTO inh VALUES (1)", "inh inh_child"),
    ("INSERT INTO inh_child VALUES (1, 2)", "inh inh_child"),
    ("UPDATE ONLY inh SET id = 3", "inh inh_child"),
    // Through views, rules, functions, dynamic statements, late triggers.
    ("INSERT INTO easy VALUES (10, 'x'); UPDATE easy SET name = 'y'", "t"),
    ("INSERT INTO hard VALUES (11, 12)", "other t"),
    ("INSERT INTO ruled VALUES (13)", "other"),
    ("SELECT write_other()", "other"),
    ("SELECT write_dynamic('other'), write_dynamic('child')", "child other"),
    ("SELECT write_elsewhere()", "other"),
    ("BEGIN; SELECT write_elsewhere(); SELECT write_other(); COMMIT", "other"),
    ("DO $$ BEGIN INSERT INTO other VALUES (5); END $$", "other"),
    ("BEGIN; INSERT INTO deferred VALUES (1); COMMIT", "deferred other"),
    // Parts that were taken back.
    (
        "BEGIN; SAVEPOINT a; INSERT INTO t (id) VALUES (20); ROLLBACK TO a; INSERT INTO other VALUES (6); \
            COMMIT",
        "other",
    ),
    (
        "BEGIN; SAVEPOINT a; INSERT INTO t (id) VALUES (21); ROLLBACK TO a; INSERT INTO t (id) VALUES (21); \
            COMMIT",
        "t",
    ),
    (
        "BEGIN; SAVEPOINT a; INSERT INTO t (id) VALUES (22); RELEASE a; INSERT INTO t (id) VALUES (23); \
            COMMIT",
        "t",
    ),
    (
        "DO $$ BEGIN INSERT INTO other VALUES (7); BEGIN INSERT INTO t (id) VALUES (24); RAISE 'no'; \
            EXCEPTION WHEN others THEN NULL; END; END $$",
        "other",
    ),
    (
        "DO $$ BEGIN BEGIN INSERT INTO t (id) VALUES (25); RAISE 'no'; EXCEPTION WHEN others THEN INSERT \
            INTO t (id) VALUES (26); END; END $$",
        "t",
    ),
    // Writers of any role, with any settings of the session.
    (
        "SET session_replication_role = replica; INSERT INTO t (id) VALUES (30); RESET \
            session_replication_role",
        "t",
    ),
    ("SET search_path = pg_catalog; INSERT INTO public.t (id) VALUES (31); RESET search_path", "t"),
    ("SET ROLE pg_monitor; INSERT INTO t (id) VALUES (32); RESET ROLE", "t"),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO t (id) VALUES (33); COMMIT", "t"),
    ("REFRESH MATERIALIZED VIEW counted", "counted"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_write_is_recorded() {
    let mut stage = Stage::with(SCHEMA, CAPTURED).await;
    for (sql, expected) in CORPUS {
        stage.check(sql, expected).await;
    }
    let mut copy = stage.outside.copy_in_raw("COPY t (id) FROM STDIN").await.unwrap();
    copy.send(&b"40\n41\n"[..]).await.unwrap();
    copy.finish().await.unwrap();
    assert_eq!(stage.poll().await, "t", "COPY");
    stage.drop().await;
}

/// The outbox grows with transactions, not with statements.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_leaves_one_row_for_each_table() {
    let mut stage = Stage::with(SCHEMA, CAPTURED).await;
    stage.run("DELETE FROM forge_changes").await;
    stage
        .run(
            "BEGIN; INSERT INTO t (id) VALUES (1); UPDATE t SET name = 'x'; SELECT write_other(); SELECT \
        write_other(); DELETE FROM t; COMMIT",
        )
        .await;
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT tbl::regclass::text, op::text FROM forge_changes ORDER BY 1")
            .fetch_all(&mut stage.outside)
            .await
            .unwrap();
    assert_eq!(rows, [("other".into(), "I".into()), ("t".into(), "I".into())]);
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_names_what_the_transaction_wrote() {
    let mut stage = Stage::with(SCHEMA, CAPTURED).await;
    let ids: Vec<Oid> = sqlx::query_scalar("SELECT unnest(ARRAY['t', 'other', 'child']::regclass[])::oid")
        .fetch_all(&mut stage.outside)
        .await
        .unwrap();
    let [t, other, child] = ids.as_slice() else { panic!("three tables") };
    let options = TransactionOptions::new("test", std::time::Duration::from_secs(5));
    let transaction = stage.database().begin(options).await.unwrap();
    let db = transaction.db();
    sqlx::query("INSERT INTO t (id) VALUES (1)").execute(&db).await.unwrap();
    sqlx::query("INSERT INTO unseen VALUES (1)").execute(&db).await.unwrap();
    sqlx::query("SELECT write_other()").execute(&db).await.unwrap();
    let undone = db.nested(false).await.unwrap();
    sqlx::query("INSERT INTO child VALUES (1, 1)").execute(&undone.db()).await.unwrap();
    undone.rollback().await.unwrap();
    let receipt = transaction.commit().await.unwrap();
    assert_eq!(receipt.tables, [TableId(t.0), TableId(other.0)].into());
    assert!(!receipt.tables.contains(&TableId(child.0)));
    let batch = stage.tail.read(&stage.database().reader()).await.unwrap();
    assert!(batch.snapshot.contains(receipt.xid.unwrap()));
    stage.drop().await;
}
