//! The compactor: what it deletes, what it leaves, what it survives.

use std::time::Duration;

use forge_actors::change::Tail;
use forge_actors::change::compactor::{CHANGES, Compactor};
use forge_actors::change::config::CaptureConfig;
use forge_actors::change::store::{SWEEP_ROWS_MAX, Swept, sweep};
use forge_actors::db::advisory_lock::{LockKey, lock_transaction};
use forge_actors::db::config::{DatabaseConfig, DatabaseUrl};
use forge_actors::db::database::Database;
use forge_actors::db::transaction::{Transaction, TransactionOptions};
use forge_actors::kernel::ids::NodeId;
use forge_actors::leader::config::LeaderConfig;
use forge_actors::leader::{Leader, LeaderDeps};
use forge_actors::supervise::{ChildSpec, Root, Strategy, SupervisorSpec, Tree};

use super::{EVERYTHING, NOTHING, Stage};
use crate::store::cluster::{execute, until};

const SCHEMA: &str = "CREATE TABLE t (id int); CREATE TABLE other (id int)";
const LIMIT: Duration = Duration::from_secs(20);

/// A compactor, and the elections that it waits for.
fn compactor(database: &Database, config: &CaptureConfig) -> Vec<ChildSpec> {
    let (leader, elections) = Leader::new(LeaderDeps {
        node: NodeId::new(),
        node_name: "test".to_owned(),
        database: database.clone(),
        config: LeaderConfig::default(),
    });
    vec![elections, Compactor::spec(database.clone(), config, leader.stand_for(CHANGES))]
}

impl Stage {
    /// What a sweep runs in.
    async fn transaction(&self) -> Transaction {
        self.database().begin(TransactionOptions::new("sweep", LIMIT)).await.unwrap()
    }

    /// Deletes what had ended at the last call, and answers how many rows that were.
    async fn sweep(&self) -> u64 {
        let Swept { deleted } = sweep(self.transaction().await, Duration::ZERO, Duration::ZERO)
            .await
            .unwrap()
            .expect("no other node sweeps");
        deleted
    }

    async fn left(&mut self) -> i64 {
        self.value("SELECT count(*) FROM forge_changes WHERE op <> 'X'").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_a_retention_ago_goes_and_late_readers_know() {
    let mut stage = Stage::with(SCHEMA, &["t", "other"]).await;
    stage.sweep().await;
    stage.sweep().await;
    let late = stage.tail.clone();
    stage.run("INSERT INTO t VALUES (1); INSERT INTO other VALUES (1)").await;
    assert_eq!(stage.poll().await, "other t");
    assert_eq!(stage.sweep().await, 0, "marks the present");
    stage.run("INSERT INTO t VALUES (2)").await;
    assert_eq!(stage.sweep().await, 2, "what had ended at the mark");
    assert_eq!(stage.left().await, 1);
    assert_eq!(stage.poll().await, "t", "a reader in time misses nothing");
    let in_time = std::mem::replace(&mut stage.tail, late);
    assert_eq!(stage.poll().await, EVERYTHING, "one that is late cannot know");
    assert_eq!(stage.poll().await, NOTHING, "and has caught up then");
    stage.tail = in_time;
    assert_eq!(stage.poll().await, NOTHING);
    let kept =
        sweep(stage.transaction().await, Duration::from_secs(600), Duration::from_secs(10)).await.unwrap();
    assert_eq!(kept, Some(Swept { deleted: 0 }));
    let marks: i64 = stage.value("SELECT count(*) FROM forge_change_marks").await;
    sweep(stage.transaction().await, Duration::from_secs(600), Duration::from_secs(10)).await.unwrap();
    assert_eq!(
        stage.value::<i64>("SELECT count(*) FROM forge_change_marks").await,
        marks,
        "one mark for each interval"
    );
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_behind_an_open_transaction_stays() {
    let mut stage = Stage::with(SCHEMA, &["t", "other"]).await;
    stage.sweep().await;
    stage.sweep().await;
    // Transactions of other databases count too: the last poll may have been before one that the sweep saw
    // ended.
    stage.poll().await;
    let mut slow = stage.scratch.connect().await;
    execute(&mut slow, "BEGIN; INSERT INTO other VALUES (1)").await;
    stage.check("INSERT INTO t VALUES (1)", "t").await;
    stage.sweep().await;
    assert_eq!((stage.sweep().await, stage.left().await), (0, 1));
    execute(&mut slow, "COMMIT").await;
    assert_eq!(stage.poll().await, "other");
    stage.sweep().await;
    assert_eq!((stage.sweep().await, stage.left().await), (2, 0));
    stage.poll().await;
    stage.check("INSERT INTO t VALUES (2)", "t").await;
    drop(slow);
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_is_bounded_and_one_at_a_time() {
    let mut stage = Stage::with(SCHEMA, &["t"]).await;
    stage.sweep().await;
    stage.sweep().await;
    let many = SWEEP_ROWS_MAX + 1;
    stage
        .run(&format!(
            "INSERT INTO forge_changes (tbl, op) SELECT 't'::regclass, 'I' FROM generate_series(1, {many})"
        ))
        .await;
    stage.sweep().await;
    let other = stage.database().begin(TransactionOptions::new("other", LIMIT)).await.unwrap();
    lock_transaction(&other.db(), &LockKey::forge("compaction"), LIMIT).await.unwrap();
    assert_eq!(sweep(stage.transaction().await, Duration::ZERO, Duration::ZERO).await.unwrap(), None);
    other.rollback().await;
    assert_eq!(stage.sweep().await, u64::from(SWEEP_ROWS_MAX));
    assert_eq!((stage.sweep().await, stage.sweep().await), (1, 0));
    stage.drop().await;
}

/// A dump takes rows of the outbox along, whose transactions are still to come where it is restored.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_a_dump_does_no_harm_and_goes() {
    let mut stage = Stage::with(SCHEMA, &["t", "other"]).await;
    stage
        .run("INSERT INTO forge_changes (xid, tbl, op) VALUES ('900000000000', 'other'::regclass, 'I')")
        .await;
    assert_eq!(stage.poll().await, NOTHING);
    stage
        .run(
            "UPDATE forge_change_state SET horizon = '900000000000'; INSERT INTO forge_change_marks VALUES \
        (now() - interval '1 day', '900000000000')",
        )
        .await;
    assert_eq!(stage.poll().await, EVERYTHING);
    stage.sweep().await;
    assert_eq!(stage.left().await, 0);
    assert_eq!(stage.poll().await, NOTHING);
    stage.check("INSERT INTO t VALUES (1)", "t").await;
    assert_eq!(
        stage
            .value::<i64>("SELECT count(*) FROM forge_change_marks WHERE ended_before > '800000000000'")
            .await,
        0
    );
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_means_everything() {
    let postgres = forge_tests::PostgresProcess::start().await;
    let database =
        Database::new(DatabaseUrl::new(postgres.url()).options().unwrap(), DatabaseConfig::default(), "test");
    super::migrate(&database).await;
    let mut tail = Tail::new();
    let mut poll = async || tail.read(&database.reader()).await.map(|batch| batch.changed);
    poll().await.unwrap();
    let quiet = poll().await.unwrap();
    assert_ne!(quiet, forge_actors::change::Changed::Everything);
    postgres.crash();
    assert!(poll().await.is_err());
    postgres.restart().await;
    // What was visible before need not be there any more.
    assert_eq!(poll().await.unwrap(), forge_actors::change::Changed::Everything);
    assert_eq!(poll().await.unwrap(), quiet);
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_database_is_waited_for() {
    let stage = Stage::with(SCHEMA, &["t"]).await;
    let away = Database::new(
        DatabaseUrl::new("postgres://forge@127.0.0.1:1/app").options().unwrap(),
        DatabaseConfig::default(),
        "test",
    );
    let config = CaptureConfig { retention: Duration::from_secs(1), ..CaptureConfig::default() };
    let tree = Tree::new();
    let spec = SupervisorSpec::new(Strategy::OneForOne, compactor(&away, &config));
    let root = Root::start("node", spec, tree.clone()).await.unwrap();
    until("it stood for election twice", LIMIT, || async {
        tree.get("node/leader/elector").is_some_and(|actor| actor.handled.get() >= 2)
    })
    .await;
    for path in ["node/leader/elector", "node/compactor"] {
        assert_eq!(tree.get(path).unwrap().restarts.get(), 0);
    }
    root.stop(LIMIT).await.unwrap();
    away.close().await;
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_actor_sweeps_by_itself() {
    let mut stage = Stage::with(SCHEMA, &["t"]).await;
    stage.run("INSERT INTO t VALUES (1)").await;
    let config = CaptureConfig { retention: Duration::from_millis(200), ..CaptureConfig::default() };
    let spec = SupervisorSpec::new(Strategy::OneForOne, compactor(stage.database(), &config));
    let root = Root::start("node", spec, Tree::new()).await.unwrap();
    let database = stage.database().clone();
    until("the row is gone", LIMIT, || async {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM forge_changes")
            .fetch_one(&database.reader())
            .await
            .unwrap();
        left == 0
    })
    .await;
    root.stop(LIMIT).await.unwrap();
    stage.drop().await;
}
