//! SIGTERM drains: what was accepted is answered. A second one ends at once.

use std::time::{Duration, Instant};

use forge_tests::{Binary, Client, Database, Node, Reply, Signal, Socket, probe, until};
use serde_json::json;
use tokio::task::JoinSet;

use super::stage::{PATIENCE, Writers, probe_on};

const IN_FLIGHT: usize = 20;

/// A call that sleeps in the node.
fn sleeping_call(client: &Client, ms: u64) -> impl Future<Output = reqwest::Result<Reply>> + use<> {
    let client = client.clone();
    async move {
        let arguments = json!({ "key": "asleep", "ms": ms });
        client.try_call("probe.sleep", arguments, Some(&probe::token("ana"))).await
    }
}

/// Waits until this many calls sleep; each writes a row before.
async fn asleep(database: &Database, calls: usize) {
    let sql = "select count(*) from probe_effects where key = 'asleep'";
    until("the calls sleep", PATIENCE, || async {
        (database.value::<i64>(sql).await == calls as i64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_drain_answers_what_was_accepted() {
    let database = Database::create().await;
    let mut node = probe_on(&database).start().await;
    let writers = Writers::start(node.client(), 8);
    writers.await_more(100).await;
    let mut slow = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        slow.spawn(sleeping_call(node.client(), 2_000));
    }
    asleep(&database, IN_FLIGHT).await;
    node.process().signal(Signal::TERM);
    while let Some(reply) = slow.join_next().await {
        let reply = reply.expect("a call does not panic").expect("an accepted call is answered");
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let ended = node.process().ended(PATIENCE).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    writers.stop().await.compare_with(&database).await;
    let left: Vec<String> = database.busy_sessions().await;
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn readiness_goes_first() {
    let database = Database::create().await;
    let config = probe::CONFIG.replace("drain_delay = \"0ms\"", "drain_delay = \"2s\"");
    let mut node = probe_on(&database).file("forge.toml", config).start().await;
    let (mut early, _) = Socket::hello(node.client().base(), None).await;
    node.process().signal(Signal::TERM);
    until("/ready says 503", Duration::from_secs(2), || async {
        node.readiness().await.filter(|status| *status == 503)
    })
    .await;
    // Load balancers still send; what they send is served.
    let reply = node.call("probe.put", json!({ "key": "late" }), Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    // They would send clients here again that are sent away now.
    let (mut late, _) = Socket::hello(node.client().base(), None).await;
    for socket in [&mut early, &mut late] {
        socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
        assert_eq!(socket.frame().await["type"], "transition");
    }
    for socket in [&mut early, &mut late] {
        assert_eq!(socket.frame().await["type"], "goAway");
    }
    assert_eq!(node.process().ended(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_signal_ends_a_start_that_waits_for_its_database() {
    for signals in [&[Signal::INT][..], &[Signal::TERM], &[Signal::TERM, Signal::TERM]] {
        let waiting = Node::builder(Binary::Probe)
            .file("forge.toml", probe::CONFIG)
            .database_url("postgres://ana@127.0.0.1:1/shop");
        let (mut process, _home) = waiting.launch();
        let stderr = process.stderr().clone();
        until("it waits", PATIENCE, || async { stderr.line("waiting for the database") }).await;
        signals.iter().for_each(|signal| process.signal(*signal));
        let ended = process.ended(Duration::from_secs(2)).await;
        assert_eq!(ended.code(), 130, "{signals:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let database = Database::create().await;
    let mut node = probe_on(&database).start().await;
    let call = tokio::spawn(sleeping_call(node.client(), 25_000));
    asleep(&database, 1).await;
    node.process().signal(Signal::TERM);
    until("the drain begins", PATIENCE, || async { (node.readiness().await != Some(200)).then_some(()) })
        .await;
    assert!(!node.process().has_ended(), "a drain waits for calls in flight");
    let asked = Instant::now();
    node.process().signal(Signal::TERM);
    let ended = node.process().ended(Duration::from_secs(5)).await;
    println!("ended {:?} after the second signal", asked.elapsed());
    assert_ne!(ended.code(), 0, "a cut drain is no success");
    call.await.expect("the call does not panic").expect_err("the call was cut");
}
