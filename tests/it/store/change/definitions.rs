//! Changed definitions count as a change of all tables, and new partitions are captured, with and without
//! the right to event triggers.

use std::time::Duration;

use forge_actors::change::store::check_definitions;
use forge_actors::change::{Tail, captured_tables};
use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::database::Database;
use forge_actors::db::migrate::plan::DownTo;
use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::system::system_sets;
use forge_actors::db::transaction::TransactionOptions;

use super::{EVERYTHING, NOTHING, Stage, migrate, named};
use crate::store::cluster::{Scratch, execute};

const SCHEMA: &str = "
    CREATE TABLE t (id int PRIMARY KEY, org int);
    CREATE TABLE loose (id int);
    CREATE TABLE ev (id int, d int) PARTITION BY RANGE (d);
    CREATE VIEW v AS SELECT id FROM t;
    CREATE FUNCTION f() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM t';
    CREATE TYPE mood AS ENUM ('well');
";

/// Compares the definitions, in a transaction of its own.
async fn checked(database: &Database) -> Option<bool> {
    let options = TransactionOptions::new("check", Duration::from_secs(20));
    check_definitions(database.begin(options).await.unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_that_may_change_a_result_changes_everything() {
    let mut stage = Stage::with(SCHEMA, &["t", "ev"]).await;
    for sql in [
        "CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 1",
        "CREATE OR REPLACE FUNCTION f() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 1::bigint'",
        "ALTER TABLE t RENAME COLUMN org TO team",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON t USING (id > 1)",
        "DROP POLICY p ON t",
        "ALTER TYPE mood ADD VALUE 'better'",
        "CREATE TABLE fresh (id int)",
        "ALTER TABLE t DROP COLUMN team",
        "DROP VIEW v",
        "DROP FUNCTION f",
        "DROP TABLE fresh",
        "CREATE SCHEMA aside",
        "DROP SCHEMA aside",
        "SELECT forge_enable_reactivity('loose')",
        "SELECT forge_disable_reactivity('loose')",
    ] {
        stage.check(sql, EVERYTHING).await;
    }
    for sql in [
        "CREATE TEMP TABLE mine (id int); INSERT INTO mine VALUES (1); ALTER TABLE mine ADD COLUMN x int; \
            DROP TABLE mine",
        "CREATE INDEX ON t (id)",
        "COMMENT ON TABLE t IS 'x'",
        "BEGIN; CREATE TABLE never (id int); ROLLBACK",
        "SELECT forge_enable_reactivity('t')",
        "SELECT forge_disable_reactivity('loose')",
        "ANALYZE t",
    ] {
        stage.check(sql, NOTHING).await;
    }
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_to_come_are_captured() {
    let mut stage = Stage::with(SCHEMA, &["t", "ev"]).await;
    stage.check("CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10)", EVERYTHING).await;
    stage.check("INSERT INTO ev_1 VALUES (1, 1)", "ev ev_1").await;
    stage.check("CREATE TABLE ev_2 (id int, d int); INSERT INTO ev_2 VALUES (2, 12)", EVERYTHING).await;
    stage.check("INSERT INTO ev_2 VALUES (3, 13)", NOTHING).await;
    stage.check("ALTER TABLE ev ATTACH PARTITION ev_2 FOR VALUES FROM (10) TO (20)", EVERYTHING).await;
    stage.check("INSERT INTO ev_2 VALUES (4, 14)", "ev ev_2").await;
    let branch = "CREATE TABLE ev_3 (id int, d int) PARTITION BY RANGE (d); CREATE TABLE ev_3a PARTITION OF \
        ev_3 FOR VALUES FROM (20) TO (25)";
    stage.check(branch, EVERYTHING).await;
    stage.check("ALTER TABLE ev ATTACH PARTITION ev_3 FOR VALUES FROM (20) TO (30)", EVERYTHING).await;
    stage.check("INSERT INTO ev_3a VALUES (5, 21)", "ev ev_3 ev_3a").await;
    stage.check("ALTER TABLE ev DETACH PARTITION ev_1", EVERYTHING).await;
    stage.check("INSERT INTO ev_1 VALUES (6, 6)", "ev_1").await;
    assert_eq!(
        captured(&mut stage).await,
        "ev ev_1 ev_2 ev_3 ev_3a forge_job_progress forge_workflow_progress t"
    );
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_captured_is_refused() {
    let mut stage = Stage::with(SCHEMA, &["ev"]).await;
    stage
        .run("CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10); CREATE TEMP TABLE mine (id int)")
        .await;
    for (sql, code) in [
        ("SELECT forge_enable_reactivity('v')", "42809"),
        ("SELECT forge_enable_reactivity('mine')", "42809"),
        ("SELECT forge_enable_reactivity('pg_class')", "42809"),
        ("SELECT forge_enable_reactivity('forge_changes')", "42809"),
        ("SELECT forge_enable_reactivity('t', '{nope}')", "42703"),
        ("SELECT forge_disable_reactivity('ev_1')", "55006"),
    ] {
        let error = sqlx::raw_sql(sql).execute(&mut stage.outside).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some(code), "{sql}: {error}");
    }
    stage.drop().await;
}

/// A role that is no superuser: the compactor stands in for the event trigger.
#[tokio::test(flavor = "multi_thread")]
async fn without_event_triggers_the_compactor_finds_what_changed() {
    let scratch = Scratch::new().await;
    let mut outside = scratch.connect().await;
    // The role is the cluster's, and stays.
    execute(
        &mut outside,
        "DO $$ BEGIN CREATE ROLE forge_plain LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN \
            NULL; END $$",
    )
    .await;
    execute(&mut outside, "GRANT ALL ON SCHEMA public TO forge_plain").await;
    let database =
        Database::new(scratch.options().username("forge_plain"), DatabaseConfig::default(), "plain");
    migrate(&database).await;
    execute(&mut outside, "SET ROLE forge_plain").await;
    execute(&mut outside, SCHEMA).await;
    execute(&mut outside, "SELECT forge_enable_reactivity('ev')").await;
    let mut tail = Tail::new();
    let mut poll = async |outside: &mut _| {
        let changed = tail.read(&database.reader()).await.unwrap().changed;
        named(outside, changed).await
    };
    assert_eq!(poll(&mut outside).await, EVERYTHING);
    assert_eq!(checked(&database).await, Some(true), "the first fingerprint");
    assert_eq!(poll(&mut outside).await, EVERYTHING);
    assert_eq!(checked(&database).await, Some(false));
    assert_eq!(poll(&mut outside).await, NOTHING);

    execute(&mut outside, "CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10)").await;
    assert_eq!(poll(&mut outside).await, NOTHING, "no sweep has compared definitions yet");
    assert_eq!(checked(&database).await, Some(true));
    assert_eq!(poll(&mut outside).await, EVERYTHING);
    execute(&mut outside, "INSERT INTO ev_1 VALUES (1, 1)").await;
    assert_eq!(poll(&mut outside).await, "ev ev_1");
    for sql in [
        "CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 1",
        "DROP FUNCTION f",
        "ALTER TYPE mood ADD VALUE 'better'",
    ] {
        execute(&mut outside, sql).await;
        assert_eq!(checked(&database).await, Some(true), "{sql}");
        assert_eq!(poll(&mut outside).await, EVERYTHING, "{sql}");
    }
    for sql in ["CREATE TEMP TABLE mine (id int)", "VACUUM t", "ANALYZE t"] {
        execute(&mut outside, sql).await;
    }
    assert_eq!(checked(&database).await, Some(false));
    database.close().await;
    drop(outside);
    scratch.drop().await;
}

async fn captured(stage: &mut Stage) -> String {
    let tables = captured_tables(&stage.database().reader()).await.unwrap();
    named(&mut stage.outside, forge_actors::change::Changed::Tables(tables)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_migration_goes_back_and_leaves_no_trace() {
    let mut stage = Stage::with(SCHEMA, &["t", "ev"]).await;
    stage.run("SELECT forge_enable_reactivity('loose', '{id}')").await;
    let sets = system_sets();
    let runner =
        Runner { database: stage.database(), sets: &sets, node: "test", lock_wait: Duration::from_secs(5) };
    runner.down("forge_later", DownTo::Number(0), |_| {}).await.unwrap();
    runner.down("forge", DownTo::Number(1), |_| {}).await.unwrap();
    let left = "SELECT (SELECT count(*) FROM pg_proc WHERE proname LIKE 'forge%')
            + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'forge%')
            + (SELECT count(*) FROM pg_event_trigger)
            + (SELECT count(*) FROM pg_class WHERE relname LIKE 'forge_change%')";
    assert_eq!(stage.value::<i64>(left).await, 0);
    stage.run("INSERT INTO t VALUES (1); INSERT INTO loose VALUES (1)").await;
    migrate(stage.database()).await;
    stage.run("SELECT forge_enable_reactivity('t')").await;
    stage.check("INSERT INTO t VALUES (2)", EVERYTHING).await;
    stage.check("INSERT INTO t VALUES (3)", "t").await;
    stage.drop().await;
}
