//! Migrations: each runs once however many nodes start, leaves nothing half done, and is refused when it was
//! edited.

use std::time::Duration;

use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::database::Database;
use forge_actors::db::migrate::error::MigrateError;
use forge_actors::db::migrate::plan::DownTo;
use forge_actors::db::migrate::runner::{CompletedMigration, Runner};
use forge_actors::db::migrate::set::MigrationSet;
use forge_actors::db::migrate::system::{SYSTEM_SET, system_set};

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
    vec![system_set(), MigrationSet::parse("app", files).unwrap()]
}

async fn up(database: &Database, sets: &[MigrationSet]) -> Result<Vec<CompletedMigration>, MigrateError> {
    Runner { database, sets, node: "test", lock_wait: Duration::from_secs(30) }.up(None, |_| {}).await
}

/// What ran, without Forge's own: those are pinned by schema.sql.
fn titles(done: &[CompletedMigration]) -> Vec<&str> {
    done.iter().filter(|done| done.set != SYSTEM_SET).map(|done| done.title.as_str()).collect()
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
    assert_eq!(count(&scratch, "SELECT count(*) FROM forge_migrations WHERE set_name <> 'forge'").await, 2);
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
async fn an_edited_file_and_an_older_binary_are_refused() {
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
    let older = up(&scratch.database, &app(&[("0001_create_t.sql", CREATE)])).await;
    assert!(matches!(older, Err(MigrateError::Unknown { number: 2, .. })), "{older:?}");
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
