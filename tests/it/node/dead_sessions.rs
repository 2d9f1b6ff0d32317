//! The database sessions of a node that was declared dead.

use std::sync::Arc;
use std::time::Duration;

use forge_tests::{Database, Node, NodeBuilder, Signal, probe, until};
use serde_json::json;

use super::peers::member;
use super::stage::PATIENCE;

/// A node that is quickly taken for dead, and whose transactions Postgres leaves alone.
fn impatient(database: &Database, name: &str) -> NodeBuilder {
    let config = format!(
        "{}\n[database]\nidle_in_transaction_timeout = \"10m\"\n\
         [cluster]\nheartbeat = \"500ms\"\ndead_after = \"2s\"\n",
        probe::CONFIG
    );
    member(database, name).file("forge.toml", config)
}

async fn state(database: &Database, name: &str) -> String {
    let sql =
        format!("select state::text from forge_nodes where name = '{name}' order by started_at desc limit 1");
    database.value(&sql).await
}

async fn writes(node: &Node, key: &str) -> Option<()> {
    let written = node.call("probe.put", json!({ "key": key }), Some(&probe::token("ana"))).await;
    (written.status == 200).then_some(())
}

#[tokio::test]
async fn the_locks_of_a_node_that_was_declared_dead_are_free_at_once() {
    let database = Database::create().await;
    let other = impatient(&database, "other").start().await;
    let mut frozen = impatient(&database, "frozen").start().await;
    let client = frozen.client().clone();
    let writing = tokio::spawn(async move {
        let arguments = json!({ "key": "held", "pauseMs": 1_000 });
        client.try_call("probe.put_halves", arguments, Some(&probe::token("ana"))).await
    });
    let sleeping =
        "select count(*) from pg_stat_activity where application_name like 'forge probe.put_halves #%'
        and query like '%pg_sleep%' and state = 'active'";
    until("the row is locked", PATIENCE, || async {
        (database.value::<i64>(sleeping).await == 1).then_some(())
    })
    .await;
    frozen.process().signal(Signal::STOP);
    // Without its end, the transaction would hold its row for ten minutes.
    let mut connection = database.connect().await;
    sqlx::query("set statement_timeout = '30s'").execute(&mut connection).await.expect("a setting");
    let inserting = sqlx::query("insert into probe_halves (key, half) values ('held', 'left')");
    inserting.execute(&mut connection).await.expect("the row is free");
    assert_eq!(state(&database, "frozen").await, "dead");
    let sessions = "select count(*) from pg_stat_activity where datname = current_database()
        and application_name like 'forge frozen %'";
    until("its other sessions have ended, too", PATIENCE, || async {
        (database.value::<i64>(sessions).await == 0).then_some(())
    })
    .await;

    frozen.process().signal(Signal::CONT);
    let answer = writing.await.expect("no panic").expect("an answer");
    assert_ne!(answer.status, 200, "{}", answer.text);
    until("it has joined again", PATIENCE, || async {
        (state(&database, "frozen").await == "active").then_some(())
    })
    .await;
    frozen.await_ready(Duration::from_secs(10)).await;
    let frozen = Arc::new(frozen);
    until("it writes over new sessions", PATIENCE, || writes(&frozen, "after")).await;
    assert!(writes(&other, "other").await.is_some(), "the sessions of the other node were left alone");
    let frozen = Arc::into_inner(frozen).expect("no call runs");
    assert_eq!(frozen.stop(PATIENCE).await.code(), 0);
    let ended = other.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    assert!(ended.stderr.contains("database sessions of a dead node ended"), "{}", ended.stderr);
}
