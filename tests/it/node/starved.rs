//! Calls that wait take all connections that they may have of their pool. What keeps the node alive has
//! others.

use std::sync::Arc;

use forge_tests::{Database, Node, Socket, probe, until};
use serde_json::json;
use sqlx::{Connection, Executor};

use super::sessions::{retitle, until_snapshot};
use super::stage::{PATIENCE, probe_on};

async fn narrow(database: &Database) -> Node {
    // Of three write sessions one function takes two.
    let config = "[database]\nread_connections_max = 2\nwrite_connections_max = 3\n\n[jobs]\nconcurrency = 2\nqueue_share = 1.0\nlease = \"4s\"";
    probe_on(database).file("forge.toml", format!("{}\n{config}\n", probe::CONFIG)).start().await
}

/// Waits until this many statements wait for a lock.
async fn await_waiting(database: &Database, count: i64) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("statements wait for the lock", PATIENCE, || async {
        (database.value::<i64>(sql).await == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn queries_that_wait_hold_up_no_live_query() {
    let database = Database::create().await;
    let node = Arc::new(narrow(&database).await);
    retitle(&node, 1, "before").await;
    let (mut socket, _) = Socket::hello(node.client().base(), None).await;
    socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
    until_snapshot(&mut socket, 1, &json!("before")).await;
    let mut connection = database.connect().await;
    let mut lock = connection.begin().await.expect("begin");
    lock.execute("lock table probe_accounts").await.expect("lock the table");
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let node = Arc::clone(&node);
            tokio::spawn(async move {
                node.call("live.total", json!({}), Some(&probe::token("ana"))).await.status
            })
        })
        .collect();
    await_waiting(&database, 2).await;
    retitle(&node, 1, "after").await;
    until_snapshot(&mut socket, 1, &json!("after")).await;
    await_waiting(&database, 2).await;
    lock.rollback().await.expect("release the table");
    for call in waiting {
        assert_ne!(call.await.expect("an answer"), 500);
    }
}

#[tokio::test]
async fn handlers_that_wait_lose_no_lease() {
    let database = Database::create().await;
    let node = narrow(&database).await;
    let mut connection = database.connect().await;
    let mut lock = connection.begin().await.expect("begin");
    lock.execute("lock table probe_effects").await.expect("lock the table");
    let arguments = json!({ "prefix": "key", "count": 2, "ms": 0 });
    node.call("jobs.enqueue", arguments, Some(&probe::token("ana"))).await.data();
    await_waiting(&database, 2).await;
    // Longer than two leases, and by the clock that leases count by.
    let sql =
        "select coalesce(min(lease_until) > max(run_at) + interval '10s', false) from forge_unfinished_jobs";
    until("the leases are renewed", PATIENCE, || async { database.value::<bool>(sql).await.then_some(()) })
        .await;
    await_waiting(&database, 2).await;
    lock.rollback().await.expect("release the table");
    let ended = "select count(*) from forge_job_history where status = 'completed' and attempt = 1";
    until("the jobs have ended", PATIENCE, || async {
        (database.value::<i64>(ended).await == 2).then_some(())
    })
    .await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
