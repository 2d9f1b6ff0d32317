//! Postgres crashes under load: the node stays, says so, and comes back by itself; nothing acknowledged is
//! lost.

use std::time::Duration;

use forge_tests::{Database, PostgresProcess, Signal, until};
use sqlx::{Connection, Executor};

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
    let (mut process, _home) = probe_on(&database).launch();
    let (stdout, stderr) = (process.stdout().clone(), process.stderr().clone());
    until("an attempt has failed", PATIENCE, || async { stderr.line("waiting for the database") }).await;
    assert_eq!(stdout.line("started in"), None, "ready without a database");
    postgres.restart().await;
    until("the node has started", PATIENCE, || async { stdout.line("started in") }).await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_crash_of_postgres_during_the_migrations_of_a_start_is_waited_for() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    // The node's first statement of the migrations waits for this transaction.
    let mut connection = database.connect().await;
    let mut hold = connection.begin().await.expect("begin");
    hold.execute("create table forge_migrations (n int)").await.expect("create a table");
    let (mut process, _home) = probe_on(&database).launch();
    let (stdout, stderr) = (process.stdout().clone(), process.stderr().clone());
    let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'
        and application_name like 'forge % locks #%'";
    until("the node migrates", PATIENCE, || async {
        (database.value::<i64>(waiting).await == 1).then_some(())
    })
    .await;
    postgres.crash();
    drop(hold);
    let lost = "database lost during the migrations";
    until("the node has noticed", PATIENCE, || async { stderr.line(lost) }).await;
    assert_eq!(stdout.line("started in"), None, "ready without a database");
    postgres.restart().await;
    until("the node has started", PATIENCE, || async { stdout.line("started in") }).await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended(PATIENCE).await.code(), 0);
}
