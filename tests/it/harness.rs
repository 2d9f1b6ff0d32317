//! The fixtures themselves: a fault that does not happen would make every test on top of it pass.

use std::time::{Duration, Instant};

use forge_actors::test_signals::{Step, announce, pause_point};
use forge_tests::{Database, Disturbance, FaultProxy, PostgresProcess, Signals};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

async fn ledger() -> (Database, FaultProxy, PgConnection) {
    let database = Database::create().await;
    database.execute("create table ledger (entry int)").await;
    let server = database
        .url()
        .split(['@', '/'])
        .nth(3)
        .and_then(|address| address.parse().ok())
        .expect("the url names an address");
    let proxy = FaultProxy::start(server).await;
    let connection = PgConnection::connect(&database.url_through(proxy.address()))
        .await
        .expect("connect through the proxy");
    (database, proxy, connection)
}

#[tokio::test]
async fn cut_after_commit_loses_the_answer_and_not_the_row() {
    let (database, proxy, mut connection) = ledger().await;
    proxy.set(Disturbance::CutAfterCommit);
    connection.execute("begin").await.expect("a proxy that waits for COMMIT passes the rest");
    connection
        .execute("insert into ledger values (1)")
        .await
        .expect("a proxy that waits for COMMIT passes the rest");
    connection.execute("commit").await.expect_err("the answer to COMMIT is cut off");
    assert_eq!(database.value::<i64>("select count(*) from ledger").await, 1);
}

#[tokio::test]
async fn a_reset_connection_leaves_nothing_behind() {
    let (database, proxy, mut connection) = ledger().await;
    connection.execute("begin; insert into ledger values (1)").await.expect("the proxy passes");
    proxy.set(Disturbance::Reset);
    connection.execute("commit").await.expect_err("the connection is reset");
    assert_eq!(database.value::<i64>("select count(*) from ledger").await, 0);
}

#[tokio::test]
async fn a_stalled_connection_resumes_where_it_was() {
    let (_database, proxy, mut connection) = ledger().await;
    proxy.set(Disturbance::Stall);
    let stalled =
        tokio::time::timeout(Duration::from_millis(300), connection.execute("insert into ledger values (1)"))
            .await;
    stalled.expect_err("nothing passes a stalled proxy");
    proxy.set(Disturbance::Delay(Duration::from_millis(50)));
    let started = Instant::now();
    connection.ping().await.expect("the proxy passes again");
    assert!(
        started.elapsed() >= Duration::from_millis(100),
        "each direction takes 50 ms, not {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_crashed_cluster_keeps_what_it_acknowledged() {
    let postgres = PostgresProcess::start().await;
    let mut connection = PgConnection::connect(&postgres.url()).await.expect("connect");
    connection.execute("create table ledger as select 1 as entry").await.expect("create the table");
    postgres.crash();
    connection.ping().await.expect_err("a crash cuts the sessions");
    postgres.restart().await;
    let mut connection = PgConnection::connect(&postgres.url()).await.expect("connect again");
    let rows: i64 =
        sqlx::query_scalar("select count(*) from ledger").fetch_one(&mut connection).await.expect("count");
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn steps_are_counted_by_their_key() {
    announce(Step::JobCommitted, "before anybody listens");
    let signals = Signals::of_this_process();
    for key in ["a", "b", "a"] {
        announce(Step::JobCommitted, key);
    }
    announce(Step::JobCommitting, "a");
    signals.reached(Step::JobCommitted, "a", 2).await;
    let count = |key| signals.count(Step::JobCommitted, key);
    assert_eq!((count("a"), count("b"), count("before anybody listens")), (2, 1, 0));
}

#[tokio::test]
async fn code_is_held_at_its_step_until_the_test_lets_it_go() {
    let signals = Signals::of_this_process();
    let pass = |key: &'static str| pause_point(Step::TermLocked, key);
    let hold = signals.hold(Step::TermLocked, "a");
    let mut held = std::pin::pin!(pass("a"));
    assert!(futures::poll!(held.as_mut()).is_pending());
    assert_eq!(signals.count(Step::TermLocked, "a"), 1, "announced before it waits");
    pass("b").await;
    assert!(futures::poll!(held.as_mut()).is_pending(), "only the key is held that was asked for");
    drop(hold);
    held.await;
    pass("a").await;
    assert_eq!(signals.count(Step::TermLocked, "a"), 2);
}
