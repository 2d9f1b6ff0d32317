//! Handlers that block every thread that handlers have. What keeps the node alive has other threads.

use std::path::{Path, PathBuf};

use forge_tests::{Client, Database, Node, NodeBuilder, Reply, Signal, Socket, probe, until};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::jobs::{await_history, insert};
use super::peers::member;
use super::sessions::{metric, retitle, until_snapshot};
use super::stage::PATIENCE;

/// The threads that handlers have here.
const THREADS: u32 = 2;

/// What blocks is released by the file at its path.
struct Gate(TempDir);

impl Gate {
    fn closed() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("open")
    }

    fn open(&self) {
        std::fs::write(self.path(), "").expect("a file in an own folder");
    }
}

/// A node called `name` that is quickly taken for dead.
fn impatient(database: &Database, name: &str) -> NodeBuilder {
    let config = format!(
        "{}\n[functions]\nthreads = {THREADS}\ndrain_timeout = \"1s\"\n[leader]\nlease = \"1s\"\n\
         [cluster]\nheartbeat = \"500ms\"\ndead_after = \"2s\"\n\
         [jobs]\nlease = \"2s\"\nqueue_share = 1.0\ndrain_timeout = \"1s\"\n",
        probe::CONFIG
    );
    member(database, name).file("forge.toml", config)
}

/// Waits until `/ready` refuses traffic for the handlers that block all threads.
async fn await_stalled(node: &Node) {
    let reason = until("/ready says what blocks all threads", PATIENCE, || async {
        let reply = node.client().get("/ready").await.ok().filter(|reply| reply.status == 503)?;
        let checks = reply.json()["checks"].as_array().cloned()?;
        let functions = checks.into_iter().find(|check| check["name"] == "functions")?;
        functions["reason"].as_str().map(str::to_owned)
    })
    .await;
    let expected = format!("all {THREADS} threads of handlers are blocked; the log says by what");
    assert_eq!(reason, expected, "everybody reads it, so it names no handlers");
}

async fn await_blocked_threads(node: &Node) {
    until("all threads are blocked", PATIENCE, || async {
        (metric(node, "forge_handlers_blocking").await == f64::from(THREADS)).then_some(())
    })
    .await;
}

/// Blocks each thread by a job.
async fn block_all_threads(node: &Node, database: &Database, gate: &Path) {
    let arguments = json!({ "count": THREADS, "gate": gate });
    node.call("blocking.enqueue_blocking", arguments, Some(&probe::token("ana"))).await.data();
    let begun = "select count(*) from probe_effects where what = 'appended'";
    until("the jobs have begun", PATIENCE, || async {
        (database.value::<i64>(begun).await == i64::from(THREADS)).then_some(())
    })
    .await;
    await_blocked_threads(node).await;
}

/// Epoch and node of the leader of `maintenance`.
async fn leader(database: &Database) -> String {
    let sql = "select epoch || ' ' || node_name from forge_leaders
        where name = 'maintenance' and resigned_at is null";
    until("a leader is elected", PATIENCE, || async { database.column(sql).await.into_iter().next() }).await
}

#[tokio::test]
async fn a_node_whose_handlers_block_all_threads_lives_and_keeps_what_it_holds() {
    let (database, gate) = (Database::create().await, Gate::closed());
    let mut blocked = impatient(&database, "forge-1").start().await;
    let led = leader(&database).await;
    assert!(led.ends_with(" forge-1"), "{led}");
    block_all_threads(&blocked, &database, &gate.path()).await;
    let waiting = call(blocked.client(), "blocking.patient", json!({}));
    await_stalled(&blocked).await;
    never_ran(&waiting.await.expect("no panic").expect("an answer"));
    // The other node would take over whatever the first one lets go.
    let other = impatient(&database, "forge-2").start().await;
    database.execute("create table watched as select clock_timestamp() as since").await;
    // Three leases of a job, more than as many heartbeats as a node may miss and as many leases of a leader.
    let long_enough = "select clock_timestamp() > since + interval '7s' from watched";
    while !database.value::<bool>(long_enough).await {
        for path in ["/health", "/metrics"] {
            let reply = blocked.client().get(path).await.expect("the node answers");
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        }
        let state: String =
            database.value("select state::text from forge_nodes where name = 'forge-1'").await;
        assert_eq!(state, "active");
        assert_eq!(leader(&database).await, led, "the leader stays");
    }
    assert!(metric(&blocked, "forge_handler_block_longest_seconds").await > 7.0);
    assert!(metric(&blocked, "forge_handler_threads_stalled_seconds").await > 7.0);
    assert_eq!(blocked.readiness().await, Some(503));
    gate.open();
    blocked.await_ready(PATIENCE).await;
    await_history(&database, &format!("completed: {THREADS}"), PATIENCE).await;
    let runs: Vec<String> =
        database.column("select 'claim ' || claim || ', attempt ' || attempt from forge_job_history").await;
    assert_eq!(runs, ["claim 1, attempt 1", "claim 1, attempt 1"], "nobody else ran them");
    let begun = database.value::<i64>("select count(*) from probe_effects").await;
    assert_eq!(begun, i64::from(THREADS), "each began once");
    let log = blocked.process().stderr().text();
    let named: Vec<&str> = log.lines().filter(|line| line.contains("handler blocks its thread")).collect();
    let of_job = named.iter().filter(|line| line.contains("blocking.block"));
    assert!(!named.is_empty() && of_job.count() == named.len(), "the log names the handler: {log}");
    assert!(named.iter().all(|line| line.contains("threads=2")), "one line for all of its threads: {log}");
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    let stalls: Vec<&str> =
        log.lines().filter(|line| line.contains("all threads of handlers are blocked")).collect();
    assert!(stalls.len() == 1 && stalls[0].contains("blocking.block (2)"), "{log}");
    assert_eq!(lines("threads of handlers are free again"), 1, "{log}");
    for node in [blocked, other] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

/// Clients learn nothing about the handlers that others have called.
fn never_ran(reply: &Reply) {
    assert_eq!((reply.status, reply.code().as_str()), (503, "OVERLOADED"), "{}", reply.text);
    assert!(reply.headers.contains_key("retry-after"), "{:?}", reply.headers);
    assert!(
        reply.text.contains("no thread of the node was free for") && !reply.text.contains("spin"),
        "{}",
        reply.text
    );
}

fn call(client: &Client, name: &'static str, arguments: Value) -> JoinHandle<reqwest::Result<Reply>> {
    let client = client.clone();
    tokio::spawn(async move { client.try_call(name, arguments, Some(&probe::token("ana"))).await })
}

#[tokio::test]
async fn calls_that_block_are_answered_at_their_time_limit_and_hold_no_lock() {
    let (database, gate) = (Database::create().await, Gate::closed());
    let node = impatient(&database, "forge-1").start().await;
    let gate_path = gate.path();
    // The first two block a thread each; no thread is left for the third.
    let dozing = call(node.client(), "blocking.append_and_doze", json!({ "key": "held", "gate": gate_path }));
    let spinning = call(node.client(), "blocking.spin", json!({ "gate": gate_path }));
    await_blocked_threads(&node).await;
    let waiting = call(node.client(), "blocking.doze", json!({ "gate": gate_path }));
    for answer in [dozing, spinning] {
        let reply = answer.await.expect("no panic").expect("an answer");
        assert_eq!((reply.status, reply.code().as_str()), (504, "TIMEOUT"), "{}", reply.text);
    }
    never_ran(&waiting.await.expect("no panic").expect("an answer"));
    await_stalled(&node).await;
    // From now on nothing waits, and so nothing holds a connection.
    never_ran(&node.call("probe.put", json!({ "key": "refused" }), Some(&probe::token("ana"))).await);
    until("their transactions have ended", PATIENCE, || async {
        database.busy_sessions().await.is_empty().then_some(())
    })
    .await;
    // Forge's own handlers answer meanwhile, and name the culprits.
    let overview =
        node.call("forge.overview", json!({}), Some(&probe::admin_token())).await.data().to_string();
    for handler in ["blocking.append_and_doze", "blocking.spin"] {
        assert!(overview.contains(&format!("thread blocked by {handler}")), "{overview}");
    }
    gate.open();
    let quick = || async {
        let reply = node.call("probe.put", json!({ "key": "after" }), Some(&probe::token("ana"))).await;
        (reply.status == 200).then_some(())
    };
    until("the threads are free again", PATIENCE, quick).await;
    assert_eq!(database.value::<i64>("select count(*) from probe_effects").await, 0, "nothing was committed");
    let ended = node.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    let blockers = "blocking.append_and_doze (1), blocking.spin (1)";
    assert!(ended.stderr.contains(blockers), "the log names the handlers: {}", ended.stderr);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_blocked_thread() {
    let (database, gate) = (Database::create().await, Gate::closed());
    let mut node = impatient(&database, "forge-1").start().await;
    block_all_threads(&node, &database, &gate.path()).await;
    node.process().signal(Signal::TERM);
    node.process().ended(PATIENCE).await;
    // The handlers ran until the process had ended, so nobody else could have been given their jobs.
    let held = "select count(*) from forge_unfinished_jobs where node_id is not null and claim = 1";
    assert_eq!(database.value::<i64>(held).await, i64::from(THREADS));
    gate.open();
    let other = impatient(&database, "forge-2").start().await;
    await_history(&database, &format!("completed: {THREADS}"), PATIENCE).await;
    assert_eq!(other.stop(PATIENCE).await.code(), 0);
}

/// The next modification of the only subscription of a connection.
async fn next_modification(socket: &mut Socket) -> Value {
    let mut frame = socket.frame_of("transition").await;
    frame["mods"][0].take()
}

#[tokio::test]
async fn what_waits_for_a_thread_is_not_judged_by_its_wait() {
    let (database, gate) = (Database::create().await, Gate::closed());
    let node = impatient(&database, "forge-1").start().await;
    retitle(&node, 1, "before").await;
    retitle(&node, 2, "before").await;
    let (mut socket, _) = Socket::hello(node.client().base(), None).await;
    socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
    until_snapshot(&mut socket, 1, &json!("before")).await;
    block_all_threads(&node, &database, &gate.path()).await;
    database.execute("update probe_rows set title = 'after'").await;
    let (mut other, _) = Socket::hello(node.client().base(), None).await;
    other.subscribe(1, "live.title", json!({ "id": 2 })).await;
    for socket in [&mut socket, &mut other] {
        let refused = next_modification(socket).await;
        assert_eq!(refused["error"]["code"], "OVERLOADED", "the client sees that it has to wait: {refused}");
    }
    // A job with a time limit of two seconds and one attempt.
    database.execute(&insert("blocking.brief", "'key', 'brief'", 1, 1, 50)).await;
    await_stalled(&node).await;
    let handed_back = "select coalesce(max(claim), 0) >= 2 from forge_jobs where name = 'blocking.brief'";
    // Its new claim has just begun, and has most of its time left.
    until("the job went back to its queue and was claimed again", PATIENCE, || async {
        database.value::<bool>(handed_back).await.then_some(())
    })
    .await;
    gate.open();
    // Nothing comes before the new result: the query was not cut.
    for socket in [&mut socket, &mut other] {
        assert_eq!(next_modification(socket).await["snapshot"], "after");
    }
    await_history(&database, &format!("completed: {}", THREADS + 1), PATIENCE).await;
    let attempts = "select max(attempt)::bigint from forge_job_history";
    assert_eq!(database.value::<i64>(attempts).await, 1);
    let metrics = node.client().get("/metrics").await.expect("the node answers").text;
    assert!(!metrics.contains("limit=\"threads\""), "no call was refused, a run is none: {metrics}");
    let ended = node.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    assert!(!ended.stderr.contains("reactivity.slow_after"), "{}", ended.stderr);
}
