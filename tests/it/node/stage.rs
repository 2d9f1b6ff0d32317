//! What the tests of nodes have in common: a probe on a database, and writers that remember what was
//! acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use forge_tests::{Binary, Client, Database, Node, NodeBuilder, probe, until};
use serde_json::json;
use tokio::task::JoinSet;

/// For what has no time limit of its own in the issue; long, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A probe, not yet started.
pub(crate) fn probe_on(database: &Database) -> NodeBuilder {
    Node::builder(Binary::Probe).database(database).file("forge.toml", probe::CONFIG)
}

/// Clients that write one key after another until they are stopped.
pub(crate) struct Writers {
    tasks: JoinSet<Tally>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

/// The answers that the writers got.
#[derive(Default)]
pub(crate) struct Tally {
    /// Keys that were answered with 200.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Keys whose write may or may not have happened.
    pub(crate) unknown: BTreeSet<String>,
}

impl Writers {
    pub(crate) fn start(client: &Client, count: usize) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for writer in 0..count {
            tasks.spawn(write(client.clone(), writer, Arc::clone(&stop), Arc::clone(&acknowledged)));
        }
        Self { tasks, stop, acknowledged }
    }

    /// Waits until this many more writes are acknowledged.
    pub(crate) async fn await_more(&self, count: usize) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + count;
        until("writes are acknowledged", PATIENCE, || async {
            (self.acknowledged.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    pub(crate) async fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        while let Some(tally) = self.tasks.join_next().await {
            let tally = tally.expect("a writer does not panic");
            all.acknowledged.extend(tally.acknowledged);
            all.unknown.extend(tally.unknown);
        }
        all
    }
}

impl Tally {
    /// Every acknowledged key is there, and no key that nobody wrote.
    pub(crate) async fn compare_with(&self, database: &Database) {
        let stored: BTreeSet<String> =
            database.column("select key from probe_ledger").await.into_iter().collect();
        let lost: Vec<_> = self.acknowledged.difference(&stored).collect();
        assert!(
            lost.is_empty(),
            "{} of {} acknowledged writes are lost: {lost:?}",
            lost.len(),
            self.acknowledged.len()
        );
        let invented =
            stored.iter().find(|key| !self.acknowledged.contains(*key) && !self.unknown.contains(*key));
        assert_eq!(invented, None, "a key that nobody wrote");
    }
}

async fn write(
    client: Client,
    writer: usize,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
) -> Tally {
    let token = probe::token("writer");
    let mut tally = Tally::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{writer}-{number}");
        match client.try_call("probe.put", json!({ "key": key }), Some(&token)).await {
            Ok(reply) if reply.status == 200 => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                tally.acknowledged.insert(key);
            }
            Ok(_) | Err(_) => {
                tally.unknown.insert(key);
                // A node that refuses is not asked in a busy loop.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    tally
}
