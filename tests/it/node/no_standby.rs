//! A server that makes commits wait for a synchronous standby, and no such standby: it answers every read,
//! and no commit ends. The node says so, stays alive, and goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use forge_tests::{Client, Database, PostgresProcess, Signal, free_port, probe, until};
use serde_json::json;
use sqlx::Executor;

use super::sessions::metric;
use super::stage::{PATIENCE, probe_on};

/// Ready within this long after commits end again.
const RECOVERY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn commits_that_wait_for_a_standby_make_the_node_unready_until_they_end() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let node = Arc::new(probe_on(&database).start().await);
    database.execute("alter system set synchronous_standby_names = 'far_away'").await;
    database.execute("select pg_reload_conf()").await;
    let writing = {
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            // The server's processes read the configuration again one after the other.
            for number in 0.. {
                let args = json!({ "key": format!("unconfirmed {number}") });
                let written = node.call("probe.put", args, Some(&probe::token("ana"))).await;
                if written.status != 200 {
                    return written;
                }
            }
            unreachable!("numbers do not end")
        })
    };
    until("/ready says what commits wait for", PATIENCE, || async {
        let check = node.client().get("/ready").await.ok().filter(|reply| reply.status == 503)?;
        assert!(!check.text.contains("far_away"), "names of servers are not public: {}", check.text);
        check.text.contains("commits wait for a synchronous standby").then_some(())
    })
    .await;
    assert!(metric(&node, "forge_database_commit_wait_seconds").await >= 5.0);
    let read = node.call("probe.pg_sleep", json!({ "ms": 1 }), Some(&probe::token("ana"))).await;
    assert_eq!(read.status, 200, "reads are served: {}", read.text);
    let unconfirmed = writing.await.expect("an answer");
    assert_eq!((unconfirmed.status, unconfirmed.code()), (503, "OUTCOME_UNKNOWN".to_owned()));
    // A commit that was given up leaves no server process behind, or the server would run out of them.
    let waiting = "select count(*) from pg_stat_activity
        where wait_event = 'SyncRep' and application_name like 'forge probe.put%'";
    until("its server process is terminated", PATIENCE, || async {
        (database.value::<i64>(waiting).await == 0).then_some(())
    })
    .await;
    database.execute("alter system reset synchronous_standby_names").await;
    database.execute("select pg_reload_conf()").await;
    let mut node = Arc::into_inner(node).expect("no call runs");
    node.await_ready(RECOVERY).await;
    let written = node.call("probe.put", json!({ "key": "after" }), Some(&probe::token("ana"))).await;
    assert_eq!(written.status, 200, "{}", written.text);
    assert_eq!(metric(&node, "forge_database_commit_wait_seconds").await, 0.0);
    let ended = node.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    for line in ["commits wait for a synchronous standby: connect one", "standby confirms commits again"] {
        assert_eq!(ended.stderr.matches(line).count(), 1, "{line}: {}", ended.stderr);
    }
    assert!(ended.stderr.contains("far_away"), "the log names what commits wait for: {}", ended.stderr);
}

#[tokio::test]
async fn a_node_that_starts_while_commits_wait_is_not_ready_before_they_end() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    assert_eq!(probe_on(&database).start().await.stop(PATIENCE).await.code(), 0);
    let mut session = database.connect().await;
    session.execute("create table unconfirmed (n int)").await.expect("a table");
    database.execute("alter system set synchronous_standby_names = 'far_away'").await;
    database.execute("select pg_reload_conf()").await;
    // The server's processes read the configuration again one after the other.
    let writing =
        tokio::spawn(
            async move { while session.execute("insert into unconfirmed values (1)").await.is_ok() {} },
        );
    let waits =
        "select exists (select from pg_stat_activity where query ^@ 'insert' and wait_event = 'SyncRep'
        and clock_timestamp() - query_start > interval '6 s')";
    until("the commit has waited", PATIENCE, || async { database.value::<bool>(waits).await.then_some(()) })
        .await;
    let port = free_port();
    let (mut process, _home) = probe_on(&database).port(port).launch();
    let client = Client::new(format!("http://127.0.0.1:{port}"));
    until("/ready says what commits wait for", PATIENCE, || async {
        let check = client.get("/ready").await.ok()?;
        assert_ne!(check.status, 200, "ready without commits that end");
        check.text.contains("commits wait for a synchronous standby").then_some(())
    })
    .await;
    database.execute("alter system reset synchronous_standby_names").await;
    database.execute("select pg_reload_conf()").await;
    writing.abort();
    until("the node is ready", RECOVERY, || async {
        client.get("/ready").await.ok().filter(|check| check.status == 200)
    })
    .await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended(PATIENCE).await.code(), 0);
}
