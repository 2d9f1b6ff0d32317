//! The reconciler of captures switches the tables of models as the models say.

use std::sync::Arc;
use std::time::Duration;

use forge_actors::change::capture_check::CaptureCheck;
use forge_actors::change::captures::{CaptureReconciler, CaptureSetting, Reconciled, reconcile};
use forge_actors::change::config::CaptureConfig;
use forge_actors::change::{Hint, HintHub, Topic};
use forge_actors::supervise::{Root, Strategy, SupervisorSpec, Tree};

use super::{EVERYTHING, NOTHING, Stage};
use crate::store::cluster::{execute, until};

const SCHEMA: &str = "
    CREATE TABLE a (id int, org int);
    CREATE TABLE \"Odd table\" (id int);
    CREATE TABLE quiet (id int);
    CREATE TABLE ev (id int, d int) PARTITION BY RANGE (d);
    CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
";
const LIMIT: Duration = Duration::from_secs(20);

fn settings() -> Vec<CaptureSetting> {
    let settings = |(table, on): (&str, bool)| CaptureSetting { table: table.to_owned(), on };
    [("a", true), ("Odd table", true), ("ev", true), ("quiet", false), ("not there", true)]
        .map(settings)
        .into()
}

fn names(settings: &[CaptureSetting]) -> Vec<&str> {
    settings.iter().map(|settings| settings.table.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_switched_and_nothing_else_touched() {
    let mut stage = Stage::with(SCHEMA, &["quiet"]).await;
    let Reconciled { switched, refused } = reconcile(stage.database(), &settings()).await.unwrap();
    assert_eq!(names(&switched), ["Odd table", "a", "ev", "quiet"]);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(stage.poll().await, EVERYTHING);
    let triggers = "SELECT count(*) || ' ' || max(xmin::text) FROM pg_trigger WHERE tgname LIKE 'forge_capture_%' AND tgrelid NOT IN ('forge_job_progress'::regclass, 'forge_workflow_progress'::regclass)";
    let before: String = stage.value(triggers).await;
    assert!(before.starts_with("16 "), "four tables, four triggers each: {before}");
    let again = reconcile(stage.database(), &settings()).await.unwrap();
    assert!(again.switched.is_empty() && again.refused.is_empty(), "{again:?}");
    assert_eq!(stage.poll().await, NOTHING);
    stage
        .check(
            "INSERT INTO ev_1 VALUES (1, 1); INSERT INTO \"Odd table\" VALUES (1); INSERT INTO quiet VALUES \
                (1)",
            "\"Odd table\" ev ev_1",
        )
        .await;
    // Tracked columns that were added by hand stay.
    stage.check("SELECT forge_enable_reactivity('a', '{org}')", EVERYTHING).await;
    let again = reconcile(stage.database(), &settings()).await.unwrap();
    assert!(again.switched.is_empty(), "{again:?}");
    stage.check("DROP TRIGGER forge_capture_delete ON ev_1", NOTHING).await;
    assert_eq!(
        names(&reconcile(stage.database(), &settings()).await.unwrap().switched),
        ["ev"],
        "a part of it was missing"
    );
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_may_start_at_once() {
    let mut stage = Stage::with(SCHEMA, &[]).await;
    let database = stage.database();
    let settings = settings();
    let nodes = futures::future::join_all((0..5).map(|_| reconcile(database, &settings))).await;
    for node in nodes {
        let Reconciled { refused, .. } = node.unwrap();
        assert!(refused.is_empty(), "{refused:?}");
    }
    assert_eq!(stage.poll().await, EVERYTHING);
    stage.check("INSERT INTO a VALUES (1); DELETE FROM a", "a").await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_is_tried_again_and_delays_no_other() {
    let mut stage = Stage::with(SCHEMA, &[]).await;
    let mut writer = stage.scratch.connect().await;
    execute(&mut writer, "BEGIN; INSERT INTO a VALUES (1)").await;
    let tree = Tree::new();
    let child = CaptureReconciler::spec(stage.database().clone(), Arc::from(settings()), HintHub::new());
    let root = Root::start("node", SupervisorSpec::new(Strategy::OneForOne, vec![child]), tree.clone())
        .await
        .unwrap();
    stage.check("INSERT INTO ev_1 VALUES (1, 1)", EVERYTHING).await;
    stage.check("INSERT INTO ev_1 VALUES (1, 1)", "ev ev_1").await;
    execute(&mut writer, "COMMIT").await;
    let database = stage.database().clone();
    until("the table is captured", LIMIT, || async {
        let sql = "SELECT forge_capture_of('a') IS NOT NULL";
        sqlx::query_scalar::<_, bool>(sql).fetch_one(&database.reader()).await.unwrap()
    })
    .await;
    root.stop(LIMIT).await.unwrap();
    drop(writer);
    stage.drop().await;
}

/// Ways in which a table loses its triggers while a node runs.
const LOSSES: [&str; 3] = [
    "ALTER TABLE a DISABLE TRIGGER ALL; ALTER TABLE a ENABLE TRIGGER ALL",
    "CREATE TABLE a_new (LIKE a INCLUDING ALL); ALTER TABLE a RENAME TO a_old; ALTER TABLE a_new RENAME TO \
        a; DROP TABLE a_old",
    "CREATE TABLE \"not there\" (id int)",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_about_definitions_brings_back_lost_triggers() {
    let mut stage = Stage::with(SCHEMA, &[]).await;
    let hints = HintHub::new();
    let child = CaptureReconciler::spec(stage.database().clone(), Arc::from(settings()), hints.clone());
    let root = Root::start("node", SupervisorSpec::new(Strategy::OneForOne, vec![child]), Tree::new())
        .await
        .unwrap();
    for loss in LOSSES {
        stage.run(loss).await;
        hints.publish(Hint::of([Topic::Definitions]));
        await_order(&stage).await;
    }
    assert_eq!(stage.poll().await, EVERYTHING);
    stage.check("INSERT INTO a VALUES (1); INSERT INTO \"not there\" VALUES (1)", "\"not there\" a").await;
    root.stop(LIMIT).await.unwrap();
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_check_brings_back_lost_triggers() {
    let mut stage = Stage::with(SCHEMA, &[]).await;
    let (hints, database) = (HintHub::new(), stage.database().clone());
    // The shortest that is allowed: a check each second.
    let config = CaptureConfig { retention: Duration::from_secs(10), ..CaptureConfig::default() };
    let children = vec![
        CaptureReconciler::spec(database.clone(), Arc::from(settings()), hints.clone()),
        CaptureCheck::spec(database.clone(), &config, hints),
    ];
    let root =
        Root::start("node", SupervisorSpec::new(Strategy::OneForOne, children), Tree::new()).await.unwrap();
    for loss in LOSSES {
        stage.run(loss).await;
        await_order(&stage).await;
    }
    root.stop(LIMIT).await.unwrap();
    stage.drop().await;
}

/// Waits until every table with a setting is captured again.
async fn await_order(stage: &Stage) {
    let database = stage.database().clone();
    until("nothing is left to switch", LIMIT, || async {
        let captured = "SELECT count(*) FROM unnest('{a,ev,\"Odd table\",\"not there\"}'::text[]) AS name
             WHERE to_regclass(quote_ident(name)) IS NOT NULL
                 AND forge_capture_of(to_regclass(quote_ident(name))) IS NULL";
        sqlx::query_scalar::<_, i64>(captured).fetch_one(&database.reader()).await.unwrap() == 0
    })
    .await;
}
