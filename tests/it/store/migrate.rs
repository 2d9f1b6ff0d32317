//! Migrations: each runs once however many nodes start, leaves nothing half done, and is refused when it was
//! edited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::database::Database;
use forge_actors::db::migrate::error::MigrateError;
use forge_actors::db::migrate::plan::DownTo;
use forge_actors::db::migrate::runner::{CompletedMigration, MigrationProgress, Runner};
use forge_actors::db::migrate::set::MigrationSet;
use forge_actors::db::migrate::system::{is_system_set, system_sets};
use forge_actors::kernel::diagnose::Diagnose;
use tokio::task::JoinSet;

use super::cluster::{Scratch, execute, until};

const CREATE: &str = "-- @up\nCREATE TABLE t (id int PRIMARY KEY);\n-- @down\nDROP TABLE t;\n";
const QUOTED: &str = "-- @up
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    -- a ; in a comment, and '; in a string
    IF NEW.id > 10 THEN RAISE EXCEPTION 'too big; really'; END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER bump BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION bump();
-- @down
DROP TRIGGER bump ON t;
DROP FUNCTION bump;
";

fn app(files: &[(&str, &str)]) -> Vec<MigrationSet> {
    let own = MigrationSet::parse("app", files).unwrap();
    system_sets().into_iter().chain([own]).collect()
}

async fn up(database: &Database, sets: &[MigrationSet]) -> Result<Vec<CompletedMigration>, MigrateError> {
    Runner { database, sets, node: "test", lock_wait: Duration::from_secs(30) }.up(None, |_| {}).await
}

/// What ran, without Forge's own: those are pinned by schema.sql.
fn titles(done: &[CompletedMigration]) -> Vec<&str> {
    done.iter().filter(|done| !is_system_set(&done.set)).map(|done| done.title.as_str()).collect()
}

async fn count(scratch: &Scratch, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut scratch.connect().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_start_at_once_and_each_migration_runs_once() {
    let scratch = Scratch::new().await;
    let sets = app(&[("0001_create_t.sql", CREATE), ("0002_add_trigger.sql", QUOTED)]);
    let nodes = (0..5).map(|_| {
        let database = Database::new(scratch.options(), DatabaseConfig::default(), "node");
        let sets = sets.clone();
        tokio::spawn(async move { up(&database, &sets).await.unwrap() })
    });
    let mut ran = Vec::new();
    for node in futures::future::join_all(nodes).await {
        ran.extend(node.unwrap());
    }
    assert_eq!(titles(&ran), ["0001_create_t", "0002_add_trigger"]);
    assert_eq!(count(&scratch, "SELECT count(*) FROM forge_migrations WHERE set_name = 'app'").await, 2);
    assert!(up(&scratch.database, &sets).await.unwrap().is_empty());
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn up_and_down_walk_the_list() {
    let scratch = Scratch::new().await;
    let sets = app(&[("0001_create_t.sql", CREATE), ("0002_add_trigger.sql", QUOTED)]);
    let runner =
        Runner { database: &scratch.database, sets: &sets, node: "test", lock_wait: Duration::from_secs(5) };
    assert_eq!(titles(&runner.up(Some(("app", 1)), |_| {}).await.unwrap()), ["0001_create_t"]);
    let applied = runner.status().await.unwrap().iter().filter(|status| status.applied.is_some()).count();
    assert_eq!(applied as i64, count(&scratch, "SELECT count(*) FROM forge_migrations").await);
    assert_eq!(runner.plan_up(None).await.unwrap().len(), 1);
    assert_eq!(titles(&runner.up(None, |_| {}).await.unwrap()), ["0002_add_trigger"]);
    assert_eq!(titles(&runner.down("app", DownTo::Steps(1), |_| {}).await.unwrap()), ["0002_add_trigger"]);
    assert_eq!(titles(&runner.down("app", DownTo::Number(0), |_| {}).await.unwrap()), ["0001_create_t"]);
    assert_eq!(count(&scratch, "SELECT count(*) FROM pg_class WHERE relname = 't'").await, 0);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_half_way_leaves_nothing_and_names_the_line() {
    let scratch = Scratch::new().await;
    let check = async |text: &str, expected_line: usize, part: &str| {
        let sets = app(&[("0001_create_t.sql", text)]);
        match up(&scratch.database, &sets).await {
            Err(error @ MigrateError::Statement { line, transactional: true, .. }) => {
                assert_eq!(line, expected_line, "{error}");
                assert!(
                    error.to_string().contains(part) && error.to_string().starts_with("0001_create_t.sql:"),
                    "{error}"
                );
            }
            other => panic!("{other:?}"),
        }
    };
    // The server points at a place, or it does not and the statements before are counted.
    check(
        "-- @up\nCREATE TABLE t (id int);\n\nSELECT\n  nothing;\n-- @down\nDROP TABLE t;\n",
        5,
        "does not exist",
    )
    .await;
    check(
        "-- @up\nCREATE TABLE t (id int);\nINSERT INTO t VALUES (1);\n\nSELECT 1 / (id - 1)\nFROM t;\n-- @down\nDROP TABLE t;\n",
        5,
        "division by zero",
    )
    .await;
    assert_eq!(count(&scratch, "SELECT count(*) FROM pg_class WHERE relname = 't'").await, 0);
    assert_eq!(count(&scratch, "SELECT count(*) FROM forge_migrations WHERE set_name = 'app'").await, 0);
    let repaired = up(&scratch.database, &app(&[("0001_create_t.sql", CREATE)])).await.unwrap();
    assert_eq!(titles(&repaired), ["0001_create_t"], "the lock is free again");
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_is_refused() {
    let scratch = Scratch::new().await;
    up(&scratch.database, &app(&[("0001_create_t.sql", CREATE), ("0002_add_trigger.sql", QUOTED)]))
        .await
        .unwrap();
    let edited = up(
        &scratch.database,
        &app(&[("0001_create_t.sql", &CREATE.replace("int", "int8")), ("0002_add_trigger.sql", QUOTED)]),
    )
    .await;
    assert!(
        matches!(&edited, Err(MigrateError::Edited { file, .. }) if file == "0001_create_t.sql"),
        "{edited:?}"
    );
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_binary_starts_on_a_newer_schema_until_a_migration_is_breaking() {
    const ADDITIVE: &str = "-- @up\nALTER TABLE t ADD n int;\n-- @down\nALTER TABLE t DROP n;\n";
    const BREAKING: &str = "-- Renames a column.\n-- @breaking\n-- @up\nALTER TABLE t RENAME n TO m;\n\
                            -- @down\nALTER TABLE t RENAME m TO n;\n";
    let files =
        [("0001_create_t.sql", CREATE), ("0002_add_n.sql", ADDITIVE), ("0003_rename_n.sql", BREAKING)];
    let scratch = Scratch::new().await;
    let (first, second, third) = (app(&files[..1]), app(&files[..2]), app(&files));
    up(&scratch.database, &first).await.unwrap();
    // The table as a version made it that knew no breaking migrations.
    execute(&mut scratch.connect().await, "ALTER TABLE forge_migrations DROP COLUMN breaking").await;
    assert!(up(&scratch.database, &first).await.unwrap().is_empty());
    assert_eq!(titles(&up(&scratch.database, &second).await.unwrap()), ["0002_add_n"]);

    let newer = std::sync::Mutex::new(Vec::new());
    let runner = Runner {
        database: &scratch.database,
        sets: &first,
        node: "older",
        lock_wait: Duration::from_secs(5),
    };
    let progress = |progress: MigrationProgress<'_>| {
        if let MigrationProgress::Newer(row) = progress {
            newer.lock().unwrap().push(row.title());
        }
    };
    assert!(runner.up(None, progress).await.unwrap().is_empty());
    assert_eq!(*newer.lock().unwrap(), ["0002_add_n"]);
    let undone = runner.down("app", DownTo::Steps(1), |_| {}).await;
    assert!(matches!(undone, Err(MigrateError::NotOurs { number: 2, .. })), "{undone:?}");

    assert_eq!(titles(&up(&scratch.database, &third).await.unwrap()), ["0003_rename_n"]);
    for older in [&first, &second] {
        let refused = up(&scratch.database, older).await;
        assert!(matches!(refused, Err(MigrateError::Breaking { number: 3, .. })), "{refused:?}");
    }
    assert!(up(&scratch.database, &third).await.unwrap().is_empty());
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_index_is_built_and_a_broken_one_is_found() {
    let scratch = Scratch::new().await;
    let index = "-- @no-transaction\n-- @up\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_n ON t (n);\nSELECT ';';\n-- @down\nDROP INDEX t_n;\n";
    let table = "-- @up\nCREATE TABLE t (n int);\nINSERT INTO t VALUES (1), (1);\n-- @down\nDROP TABLE t;\n";
    let sets = app(&[("0001_create_t.sql", table), ("0002_add_index.sql", index)]);
    for _ in 0..2 {
        let broken = up(&scratch.database, &sets).await;
        assert!(
            matches!(&broken, Err(MigrateError::InvalidIndex { index, .. }) if index == "t_n"),
            "{broken:?}"
        );
    }
    let mut connection = scratch.connect().await;
    execute(&mut connection, "DROP INDEX CONCURRENTLY t_n").await;
    execute(&mut connection, "DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)").await;
    assert_eq!(titles(&up(&scratch.database, &sets).await.unwrap()), ["0002_add_index"]);
    scratch.drop().await;
}

/// One left behind by another program, and one of a partitioned table, which is invalid until every partition
/// has its index.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_index_of_others_stops_no_migration() {
    let scratch = Scratch::new().await;
    let mut connection = scratch.connect().await;
    execute(
        &mut connection,
        "CREATE TABLE other (n int);
         INSERT INTO other VALUES (1), (1);
         CREATE TABLE parted (n int) PARTITION BY RANGE (n);
         CREATE TABLE parted_one PARTITION OF parted FOR VALUES FROM (0) TO (9);
         CREATE INDEX parted_n ON ONLY parted (n)",
    )
    .await;
    let build = sqlx::query("CREATE UNIQUE INDEX CONCURRENTLY other_n ON other (n)");
    build.execute(&mut connection).await.expect_err("two rows are equal");
    let index =
        "-- @no-transaction\n-- @up\nCREATE INDEX CONCURRENTLY t_n ON t (id);\n-- @down\nDROP INDEX t_n;\n";
    let sets = app(&[("0001_create_t.sql", CREATE), ("0002_add_index.sql", index)]);
    assert_eq!(titles(&up(&scratch.database, &sets).await.unwrap()), ["0001_create_t", "0002_add_index"]);
    scratch.drop().await;
}

/// Runs `alter` beside sessions that repeat `statements`, none of which may fail.
async fn migrate_beside(setup: &str, alter: &str, statements: &'static str) {
    let scratch = Scratch::new().await;
    let [setup, alter] = [setup, alter].map(|sql| format!("-- @up\n{sql}\n-- @irreversible\n"));
    let files = [("0001_create_tables.sql", setup.as_str()), ("0002_alter_tables.sql", alter.as_str())];
    up(&scratch.database, &app(&files[..1])).await.unwrap();
    let is_migrated = Arc::new(AtomicBool::new(false));
    let mut sessions = JoinSet::new();
    for _ in 0..8 {
        let (mut connection, is_migrated) = (scratch.connect().await, Arc::clone(&is_migrated));
        sessions.spawn(async move {
            while !is_migrated.load(Ordering::Relaxed) {
                sqlx::raw_sql(statements).execute(&mut connection).await.expect("no statement fails");
            }
        });
    }
    let sets = app(&files);
    let done = up(&scratch.database, &sets).await;
    is_migrated.store(true, Ordering::Relaxed);
    sessions.join_all().await;
    assert_eq!(titles(&done.unwrap()), ["0002_alter_tables"]);
    scratch.drop().await;
}

/// The statements wait for the migration, and the migration for them, until it begins with the other table.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_lock_tables_in_another_order_than_a_migration_do_not_fail() {
    migrate_beside(
        "CREATE SCHEMA \"My-App\"; CREATE TABLE \"My-App\".\"A\" (n int); CREATE TABLE \"My-App\".\"B\" (n int);",
        "ALTER TABLE \"My-App\".\"A\" ADD m int; ALTER TABLE \"My-App\".\"B\" ADD m int;",
        "BEGIN; INSERT INTO \"My-App\".\"B\" (n) VALUES (1); SELECT pg_sleep(0.02);
         INSERT INTO \"My-App\".\"A\" (n) VALUES (1); COMMIT",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_of_a_view_and_its_table_comes_through_beside_readers() {
    migrate_beside(
        "CREATE TABLE a (n int); CREATE VIEW v AS SELECT n FROM a;",
        "ALTER TABLE a ADD m int; DROP VIEW v; CREATE VIEW v AS SELECT n, m FROM a;",
        "SELECT n FROM v",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_changes_rows_comes_through_beside_writers_of_these() {
    migrate_beside(
        "CREATE TABLE a (n int); CREATE TABLE b (n int); INSERT INTO b VALUES (1);",
        "ALTER TABLE a ADD m int; UPDATE b SET n = 2;",
        "BEGIN; UPDATE b SET n = 3; SELECT pg_sleep(0.02); INSERT INTO a (n) VALUES (1); COMMIT",
    )
    .await;
}

/// A lock is taken first only when both wait for each other: else a long reader would have the migration hold
/// it from its beginning on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_a_long_reader_holds_is_taken_when_it_is_needed() {
    let scratch = Scratch::new().await;
    let files = [
        (
            "0001_create_tables.sql",
            "-- @up\nCREATE TABLE a (n int); CREATE TABLE b (n int);\n-- @irreversible\n",
        ),
        ("0002_alter_tables.sql", "-- @up\nSELECT pg_sleep(1); ALTER TABLE b ADD m int;\n-- @irreversible\n"),
    ];
    up(&scratch.database, &app(&files[..1])).await.unwrap();
    let mut reader = scratch.connect().await;
    execute(&mut reader, "BEGIN; SELECT n FROM b").await;
    let (sets, tries) = (app(&files), AtomicUsize::new(0));
    let locks = std::sync::Mutex::new(Vec::new());
    let runner =
        Runner { database: &scratch.database, sets: &sets, node: "test", lock_wait: Duration::from_secs(30) };
    let progress = |progress: MigrationProgress<'_>| {
        if let MigrationProgress::TableLocked { lock, .. } = progress {
            tries.fetch_add(1, Ordering::Relaxed);
            locks.lock().unwrap().extend(lock.map(str::to_owned));
        }
    };
    let others = async {
        until("the migration has given up once", Duration::from_secs(30), async || {
            tries.load(Ordering::Relaxed) >= 1
        })
        .await;
        execute(&mut reader, "COMMIT").await;
        until("the migration is at its first statement again", Duration::from_secs(30), async || {
            scratch.sessions("query LIKE '%pg_sleep(1)%' AND wait_event = 'PgSleep'").await == 1
        })
        .await;
        let held =
            "SELECT count(*) FROM pg_locks WHERE relation = 'b'::regclass AND mode = 'AccessExclusiveLock'";
        let held: i64 = sqlx::query_scalar(held).fetch_one(&mut reader).await.unwrap();
        assert_eq!(held, 0);
    };
    let (done, ()) = tokio::join!(runner.up(None, progress), others);
    assert_eq!(titles(&done.unwrap()), ["0002_alter_tables"]);
    let locks = locks.into_inner().unwrap();
    assert!(locks[0].starts_with("ACCESS EXCLUSIVE on public.b, held by `"), "{locks:?}");
    scratch.drop().await;
}

/// Statements of running nodes queue behind a migration that waits for the lock of a table.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_a_table_lets_others_pass_and_tries_again() {
    const ALTER: &str = "-- @up\nALTER TABLE t ADD n int;\n-- @down\nALTER TABLE t DROP n;\n";
    const ALTER_ALONE: &str =
        "-- @no-transaction\n-- @up\nALTER TABLE t ADD m int;\n-- @down\nALTER TABLE t DROP m;\n";
    const DROP: &str = "-- @up\nALTER TABLE t DROP m;\n-- @irreversible\n";
    let scratch = Scratch::new().await;
    let files = [("0001_create_t.sql", CREATE), ("0002_add_n.sql", ALTER), ("0003_add_m.sql", ALTER_ALONE)];
    up(&scratch.database, &app(&files[..1])).await.unwrap();
    for count in 2..=files.len() {
        let sets = app(&files[..count]);
        let mut holder = scratch.connect().await;
        execute(&mut holder, "BEGIN; SELECT id FROM t").await;
        let tries = AtomicUsize::new(0);
        let runner = Runner {
            database: &scratch.database,
            sets: &sets,
            node: "test",
            lock_wait: Duration::from_secs(30),
        };
        let progress = |progress: MigrationProgress<'_>| {
            if let MigrationProgress::TableLocked { .. } = progress {
                tries.fetch_add(1, Ordering::Relaxed);
            }
        };
        let others = async {
            until("the migration has given up its place twice", Duration::from_secs(30), async || {
                tries.load(Ordering::Relaxed) >= 2
            })
            .await;
            // Behind a lock request that waits, this read would wait as long as the holder takes.
            let reader = scratch.database.reader();
            let read = sqlx::query("SELECT id FROM t").fetch_all(&reader);
            tokio::time::timeout(Duration::from_secs(10), read).await.expect("others pass").unwrap();
            execute(&mut holder, "COMMIT").await;
        };
        let (done, ()) = tokio::join!(runner.up(None, progress), others);
        assert_eq!(titles(&done.unwrap()).len(), 1);
    }
    let sets = app(&[files[0], files[1], files[2], ("0004_drop_m.sql", DROP)]);
    let impatient =
        Runner { database: &scratch.database, sets: &sets, node: "test", lock_wait: Duration::ZERO };
    let mut holder = scratch.connect().await;
    execute(&mut holder, "BEGIN; SELECT id FROM t").await;
    let refused = impatient.up(None, |_| {}).await.expect_err("the table is locked");
    assert!(refused.help().is_some_and(|help| help.contains("pg_stat_activity")), "{refused}");
    drop(holder);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_killed_frees_the_lock_and_leaves_nothing() {
    let scratch = Scratch::new().await;
    let slow = "-- @up\nCREATE TABLE t (id int);\nSELECT pg_sleep(600);\n-- @down\nDROP TABLE t;\n";
    let sets = app(&[("0001_create_t.sql", slow)]);
    tokio::select! {
        _ = up(&scratch.database, &sets) => panic!("the migration takes ten minutes"),
        _ = until("the migration runs", Duration::from_secs(30), async || {
            scratch.sessions("query LIKE '%pg_sleep(600)%' AND state = 'active'").await > 0
        }) => {}
    }
    let done = tokio::time::timeout(
        Duration::from_secs(5),
        up(&scratch.database, &app(&[("0001_create_t.sql", CREATE)])),
    )
    .await;
    assert_eq!(titles(&done.unwrap().unwrap()), ["0001_create_t"]);
    scratch.drop().await;
}
