//! Postgres crashes under load: the node stays, says so, and comes back by itself; nothing acknowledged is
//! lost.

use std::time::Duration;

use forge_tests::{Database, PostgresProcess, until};

use super::stage::{PATIENCE, Writers, probe_on};

/// The promise: ready within this long after the database is back.
const RECOVERY: Duration = Duration::from_secs(5);
const WRITERS: usize = 8;

#[tokio::test]
async fn a_crash_of_postgres_is_a_state_and_not_a_restart() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let mut node = probe_on(&database).start().await;
    let writers = Writers::start(node.client(), WRITERS);
    for _ in 0..3 {
        writers.await_more(200).await;
        postgres.crash();
        until("/ready says 503", PATIENCE, || async {
            node.readiness().await.filter(|status| *status == 503)
        })
        .await;
        let live = node.client().get("/health").await.expect("a node without a database lives").status;
        assert_eq!(live, 200);
        postgres.restart().await;
        node.await_ready(RECOVERY).await;
    }
    writers.await_more(200).await;
    let tally = writers.stop().await;
    assert!(!node.process().has_ended(), "the node has ended");
    assert!(!tally.unknown.is_empty(), "no write met the outage, so this run proves nothing");
    tally.compare_with(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_node_that_starts_before_its_database_waits_for_it() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    postgres.crash();
    let starting = tokio::spawn(probe_on(&database).start());
    // Long enough for the first attempts to fail.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!starting.is_finished(), "ready without a database");
    postgres.restart().await;
    let node = tokio::time::timeout(PATIENCE, starting)
        .await
        .expect("the node is ready")
        .expect("the start does not panic");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
