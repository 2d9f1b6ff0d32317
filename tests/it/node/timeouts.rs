//! A call that takes too long is answered, and ends in Postgres too.

use std::time::{Duration, Instant};

use forge_tests::{Database, Signal, probe, until};
use serde_json::json;

use super::stage::{PATIENCE, probe_on};

/// The promise: the statement is gone this long after the answer.
const CANCELLED: Duration = Duration::from_secs(1);
const TEN_MINUTES_MS: u32 = 600_000;

#[tokio::test]
async fn a_timeout_cancels_in_postgres() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    let token = probe::token("ana");
    for (name, arguments) in [
        ("probe.pg_sleep", json!({ "ms": TEN_MINUTES_MS })),
        ("probe.put_and_sleep", json!({ "key": "slow", "ms": TEN_MINUTES_MS })),
    ] {
        let asked = Instant::now();
        let reply = node.call(name, arguments, Some(&token)).await;
        assert_eq!((reply.status, reply.code().as_str()), (504, "TIMEOUT"), "{name}: {}", reply.text);
        assert!(asked.elapsed() >= Duration::from_secs(1), "{name} was cut before its time");
        until("no statement runs", CANCELLED, || async {
            database.busy_sessions().await.is_empty().then_some(())
        })
        .await;
    }
    assert_eq!(database.value::<i64>("select count(*) from probe_ledger").await, 0);
    let quick = node.call("probe.pg_sleep", json!({ "ms": 1 }), Some(&token)).await;
    assert_eq!(quick.status, 200, "{}", quick.text);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_node_that_is_frozen_inside_a_transaction_holds_its_locks_for_seconds() {
    let database = Database::create().await;
    let mut node = probe_on(&database).start().await;
    let client = node.client().clone();
    let call = tokio::spawn(async move {
        let arguments = json!({ "key": "shared", "pauseMs": 1_000 });
        client.call("probe.put_halves", arguments, Some(&probe::token("ana"))).await
    });
    until("the mutation holds its row", PATIENCE, || async {
        let sql = "select count(*) from pg_stat_activity where query like 'select pg_sleep(%' \
                   and state = 'active' and datname = current_database()";
        (database.value::<i64>(sql).await == 1).then_some(())
    })
    .await;
    node.process().signal(Signal::STOP);
    let insert = database.execute("insert into probe_halves (key, half) values ('shared', 'left')");
    tokio::time::timeout(PATIENCE, insert).await.expect("the row is free");
    node.process().signal(Signal::CONT);
    let reply = call.await.expect("the call does not panic");
    assert_ne!(reply.status, 200, "{}", reply.text);
    let halves = "select count(*) from probe_halves where half = 'right'";
    assert_eq!(database.value::<i64>(halves).await, 0, "the transaction is rolled back");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_query_along_and_not_its_mutation() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    let token = probe::token("ana");
    // The client leaves as soon as a statement of its call runs.
    let leave = async |name, arguments| {
        let runs = || async {
            let busy = database.busy_sessions().await;
            busy.iter().any(|statement| statement.contains("pg_sleep")).then_some(())
        };
        tokio::select! {
            _ = node.client().try_call(name, arguments, Some(&token)) => panic!("{name} is answered already"),
            () = until("a statement runs", PATIENCE, runs) => {}
        }
    };
    leave("probe.long_query", json!({ "ms": 25_000 })).await;
    until("no statement runs", Duration::from_secs(3), || async {
        database.busy_sessions().await.is_empty().then_some(())
    })
    .await;
    // Whether a mutation's commit would still have come is not for a broken connection to decide: it runs to
    // its end.
    leave("probe.put_halves", json!({ "key": "left", "pauseMs": 1_000 })).await;
    let both =
        || async { (database.value::<i64>("select count(*) from probe_halves").await == 2).then_some(()) };
    until("both halves are committed", PATIENCE, both).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
