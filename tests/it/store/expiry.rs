//! Old rows that the leader deletes in batches, against a real Postgres.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use forge_actors::db::handle::Db;
use forge_actors::kernel::fault::Fault;
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::time::millis;
use forge_actors::leader::config::LeaderConfig;
use forge_actors::leader::{Leader, LeaderDeps, Leadership, OldRows, expiry};
use forge_actors::subsystem::{ActorPath, NODE};
use forge_actors::supervise::{Root, Strategy, SupervisorSpec, Tree};

use super::change::migrate;
use super::cluster::{Scratch, execute, until};

const LIMIT: Duration = Duration::from_secs(30);

static ROWS: ActorPath = NODE.child("rows");

/// The rows of the table `parent`. A row of `child` that refers to one of them makes the commit fail.
#[derive(Clone, Default)]
struct Rows {
    deleted: Arc<Mutex<Vec<u64>>>,
    committed: Arc<Mutex<Vec<u64>>>,
}

impl OldRows for Rows {
    const KIND: &'static str = "rows";
    const INTERVAL: Duration = millis(50);
    const BATCH_MAX: u32 = u32::MAX;

    async fn delete(&self, db: &Db) -> Result<u64, Fault> {
        let deleted = sqlx::query("DELETE FROM parent").execute(db).await?.rows_affected();
        self.deleted.lock().unwrap().push(deleted);
        Ok(deleted)
    }

    fn committed(&self, deleted: u64) {
        self.committed.lock().unwrap().push(deleted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_commit_fails_is_deleted_again() {
    let scratch = Scratch::new().await;
    migrate(&scratch.database).await;
    let mut outside = scratch.connect().await;
    let tables = "CREATE TABLE parent (id int PRIMARY KEY);
                  CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
                  INSERT INTO parent VALUES (1), (2);
                  INSERT INTO child VALUES (1)";
    execute(&mut outside, tables).await;
    let (leader, elections) = Leader::new(LeaderDeps {
        node: NodeId::new(),
        node_name: "only".to_owned(),
        database: scratch.database.clone(),
        config: LeaderConfig::default(),
    });
    let rows = Rows::default();
    let terms = leader.stand_for(Leadership::new("duty"));
    let children = vec![elections, expiry(&ROWS, scratch.database.clone(), terms, rows.clone())];
    let spec = SupervisorSpec::new(Strategy::OneForOne, children);
    let root = Root::start("node", spec, Tree::new()).await.unwrap();

    until("a commit fails", LIMIT, async || !rows.deleted.lock().unwrap().is_empty()).await;
    assert_eq!(*rows.committed.lock().unwrap(), [0_u64; 0], "nothing is noted that was not committed");
    execute(&mut outside, "DELETE FROM child").await;
    until("the batch is committed", LIMIT, async || !rows.committed.lock().unwrap().is_empty()).await;
    assert_eq!(rows.committed.lock().unwrap()[0], 2);
    root.stop(LIMIT).await.unwrap();
    scratch.drop().await;
}
