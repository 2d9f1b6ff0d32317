//! A server that answers and takes no writes, as after a switch-over: the node says so, loses nothing, and
//! goes on by itself when a server takes writes.

use std::time::Duration;

use forge_tests::{Client, Database, Node, PostgresProcess, free_port, probe, until};
use serde_json::json;

use super::jobs::{LONG, await_history, insert, nothing_is_left, worker_on};
use super::sessions::metric;
use super::stage::{PATIENCE, probe_on};

/// The issue's promise: ready within this long after a server takes writes.
const RECOVERY: Duration = Duration::from_secs(5);

pub(super) async fn await_unready(node: &Node) {
    until("/ready says 503", PATIENCE, || async { node.readiness().await.filter(|status| *status == 503) })
        .await;
}

/// Makes the server read-only by its configuration, or ends that.
pub(super) async fn set_read_only(database: &Database, on: bool) {
    let setting = if on { "on" } else { "off" };
    database.execute(&format!("alter system set default_transaction_read_only = {setting}")).await;
    database.execute("select pg_reload_conf()").await;
}

async fn writes_are_unavailable(node: &Node) {
    let token = probe::token("ana");
    let refused = node.call("probe.put", json!({ "key": "refused" }), Some(&token)).await;
    assert_eq!((refused.status, refused.code()), (503, "UNAVAILABLE".to_owned()), "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    assert!(refused.json()["error"]["retryAfterMs"].is_u64(), "{}", refused.text);
}

async fn writes_succeed(node: &Node, key: &str) {
    let written = node.call("probe.put", json!({ "key": key }), Some(&probe::token("ana"))).await;
    assert_eq!(written.status, 200, "{}", written.text);
}

#[tokio::test]
async fn a_server_that_becomes_read_only_is_a_state_and_not_an_internal_error() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let mut node = worker_on(&database, "lease = \"4s\"").start().await;
    writes_succeed(&node, "before").await;
    // It needs longer than its lease lasts, and the database is read-only for most of that time.
    database.execute(&insert("jobs.work", "'key', 'a', 'ms', 15000", 1, 3, 50)).await;
    until("the job has begun", PATIENCE, || async {
        let begun = "select count(*) from probe_effects where what = 'begun'";
        (database.value::<i64>(begun).await == 1).then_some(())
    })
    .await;

    set_read_only(&database, true).await;
    await_unready(&node).await;
    writes_are_unavailable(&node).await;
    let token = probe::token("ana");
    let read = node.call("probe.pg_sleep", json!({ "ms": 1 }), Some(&token)).await;
    assert_eq!(read.status, 200, "reads are served: {}", read.text);
    let mistake = node.call("probe.write_in_query", json!({}), Some(&token)).await;
    assert_eq!((mistake.status, mistake.code()), (500, "INTERNAL".to_owned()), "{}", mistake.text);
    let check = node.client().get("/ready").await.expect("an answer").text;
    assert!(check.contains("the database takes no writes"), "{check}");
    assert_eq!(metric(&node, "forge_database_writable").await, 0.0);
    let overview = node.call("forge.overview", json!({}), Some(&probe::admin_token())).await;
    assert!(overview.data().to_string().contains("\"read-only\""), "the overview says since when");
    let expired = "select now() > lease_until from forge_unfinished_jobs";
    until("the job's lease has run out", PATIENCE, || async {
        database.value::<bool>(expired).await.then_some(())
    })
    .await;

    set_read_only(&database, false).await;
    node.await_ready(RECOVERY).await;
    writes_succeed(&node, "after").await;
    await_history(&database, "completed: 1", LONG).await;
    nothing_is_left(&database).await;
    let row = "select 'claim ' || claim || ', attempt ' || attempt from forge_job_history";
    assert_eq!(database.value::<String>(row).await, "claim 1, attempt 1", "it kept its lease");
    assert_eq!(
        database.column::<String>("select key from probe_ledger order by written_at").await,
        ["before", "after"]
    );
    let mistake = node.call("probe.write_in_query", json!({}), Some(&token)).await;
    assert_eq!((mistake.status, mistake.code()), (500, "INTERNAL".to_owned()), "{}", mistake.text);
    assert_eq!(node.readiness().await, Some(200), "a query's mistake is no state of the database");
    let ended = node.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    assert!(ended.stderr.contains("database read-only"), "{}", ended.stderr);
    assert!(ended.stderr.contains("database takes writes again"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_standby_is_waited_for_until_it_is_promoted() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let mut node = probe_on(&database).start().await;
    writes_succeed(&node, "before").await;
    postgres.crash();
    postgres.make_standby();
    postgres.restart().await;
    until("the node has found the standby", PATIENCE, || async {
        let check = node.client().get("/ready").await.ok()?;
        check.text.contains("the database takes no writes").then_some(())
    })
    .await;
    writes_are_unavailable(&node).await;
    database.execute("select pg_promote()").await;
    node.await_ready(RECOVERY).await;
    writes_succeed(&node, "after").await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_node_that_starts_on_a_read_only_server_waits_for_it() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    set_read_only(&database, true).await;
    let port = free_port();
    let (mut process, _home) = probe_on(&database).port(port).launch();
    let (stdout, stderr) = (process.stdout().clone(), process.stderr().clone());
    until("an attempt has failed", PATIENCE, || async { stderr.line("waiting for the database") }).await;
    let client = Client::new(format!("http://127.0.0.1:{port}"));
    let health = client.get("/health").await.expect("the process lives");
    assert_eq!((health.status, health.text.as_str()), (200, r#"{"status":"live"}"#));
    let ready = client.get("/ready").await.expect("the node says why not");
    assert!(ready.status == 503 && ready.text.contains("the node is starting"), "{}", ready.text);
    let refused = client.call("probe.put", json!({ "key": "early" }), None).await;
    assert_eq!((refused.status, refused.code()), (503, "UNAVAILABLE".to_owned()));
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    assert_eq!(stdout.line("started in"), None, "ready without a database that takes writes");
    set_read_only(&database, false).await;
    until("the node has started", PATIENCE, || async { stdout.line("started in") }).await;
    assert_eq!(client.get("/ready").await.expect("the node answers").status, 200);
    process.signal(forge_tests::Signal::TERM);
    assert_eq!(process.ended(PATIENCE).await.code(), 0);
}
