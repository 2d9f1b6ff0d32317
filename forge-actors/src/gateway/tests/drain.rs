use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpStream;

use super::node::{Node, config, post};
use crate::gateway::accept::serve;
use crate::gateway::port::{HttpPortError, Port};
use crate::kernel::time::{millis, secs};
use crate::subsystem::{ActorPath, NODE, ReadinessRule, ReadinessWatcher};
use crate::supervise::{
    Actor, ActorError, ChildSpec, Context, Message, Root, Strategy, SupervisorSpec, Tree,
};

#[tokio::test]
async fn a_drain_lets_requests_finish_and_closes_the_port() {
    let node = Node::start(|_| {}).await;
    let mut idle = node.connect().await;
    idle.send(&post("/rpc/tests.echo", "", r#"{"text":"a"}"#)).await.answers(json!("a"));
    let mut busy = node.connect().await;
    busy.write(post("/rpc/tests.slow", "", "")).await;
    node.slow_calls.entered.notified().await;
    node.drain.cancel();
    assert!(idle.closed().await.is_empty());
    assert!(TcpStream::connect(node.address).await.is_err(), "the port is closed");
    node.slow_calls.release.notify_one();
    let answer = busy.receive().await;
    assert_eq!(answer.answers(json!(true)).header("connection"), Some("close"));
    node.served.await.expect("the drain ends");
}

#[tokio::test]
async fn a_drain_lets_http2_streams_finish() {
    let node = Node::start(|_| {}).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let url = format!("http://{}/rpc/tests.slow", node.address);
    let request = client.post(url).header("content-type", "application/json");
    let request = tokio::spawn(request.send());
    node.slow_calls.entered.notified().await;
    node.drain.cancel();
    node.slow_calls.release.notify_one();
    assert_eq!(request.await.expect("no panic").expect("an answer").status().as_u16(), 200);
    node.served.await.expect("the drain ends");
}

#[tokio::test]
async fn a_drain_cuts_what_does_not_finish() {
    let node = Node::start(|config| config.drain_timeout = millis(100)).await;
    let mut busy = node.connect().await;
    busy.write(post("/rpc/tests.slow", "", "")).await;
    node.slow_calls.entered.notified().await;
    node.drain.cancel();
    node.served.await.expect("the drain ends");
    assert!(busy.closed().await.is_empty());
}

#[tokio::test]
async fn ready_says_why_not() {
    let node = Node::start(|_| {}).await;
    let live = node.get("/health", "").await;
    assert_eq!((live.status, live.json()), (200, json!({ "status": "live" })));
    let starting = node.get("/ready", "").await;
    let check = json!({ "name": "database", "ready": false, "reason": "is starting" });
    let expected = json!({ "ready": false, "draining": false, "checks": [check] });
    assert_eq!((starting.status, starting.json()), (503, expected));
    node.readiness.pass("database");
    let ready = node.get("/ready", "").await;
    let expected =
        json!({ "ready": true, "draining": false, "checks": [{ "name": "database", "ready": true }] });
    assert_eq!((ready.status, ready.json()), (200, expected));
    node.readiness.fail("database", "is not reachable");
    assert_eq!(node.get("/ready", "").await.json()["checks"][0]["reason"], "is not reachable");
    node.readiness.pass("database");
    node.readiness.drain();
    let draining = node.get("/ready", "").await;
    assert_eq!((draining.status, &draining.json()["draining"]), (503, &json!(true)));
    node.readiness.pass("database");
    assert!(!node.readiness.is_ready(), "a drain is not taken back");
    assert_eq!(node.get("/health", "").await.status, 200);
}

#[tokio::test]
async fn a_port_that_cannot_be_opened_says_why() {
    let first = Port::open(&config(|_| {})).expect("a free port");
    let taken = Port::open(&config(|config| config.port = first.address().port())).err().expect("in use");
    assert!(matches!(taken, HttpPortError::InUse { .. }), "{taken}");
    let foreign = Port::open(&config(|config| config.host = "192.0.2.1".parse().expect("an address")))
        .err()
        .expect("not local");
    assert!(matches!(foreign, HttpPortError::NotLocal { .. }), "{foreign}");
}

#[tokio::test]
async fn a_connection_that_comes_while_the_listener_restarts_is_served_afterwards() {
    let node = Node::start(|_| {}).await;
    let mut open = node.connect().await;
    open.send(&post("/rpc/tests.echo", "", r#"{"text":"a"}"#)).await.answers(json!("a"));
    // As after a crash, the accept loop is gone, and its connections with it.
    node.served.abort();
    assert!(open.closed().await.is_empty());
    let mut early = node.connect().await;
    early.write(post("/rpc/tests.echo", "", r#"{"text":"b"}"#)).await;
    let again = node.port.listener().expect("the port is still open");
    let served = tokio::spawn(serve(
        Arc::clone(&node.gateway.shared),
        Arc::clone(&node.port),
        again,
        node.drain.clone(),
    ));
    early.receive().await.answers(json!("b"));
    node.drain.cancel();
    served.await.expect("the drain ends");
}

/// A sibling that crashes when it receives a message.
struct Fragile;

struct Break;

impl Message for Break {
    const NAMES: &'static [&'static str] = &["break"];

    fn index(&self) -> usize {
        0
    }
}

impl Actor for Fragile {
    type Message = Break;
    type State = ();
    const KIND: &'static str = "fragile";

    async fn start(&self, _: &Context<Break>) -> Result<(), ActorError> {
        Ok(())
    }

    async fn handle(&self, _: &Context<Break>, _: Break, (): &mut ()) -> Result<(), ActorError> {
        Err("it broke".into())
    }
}

static LISTENER: ActorPath = NODE.child("listener");
const LISTENER_RULE: ReadinessRule = ReadinessRule { name: "listener", actors: &[&LISTENER] };

#[tokio::test]
async fn the_listener_stops_and_starts_with_its_siblings() {
    let mut node = Node::start(|_| {}).await;
    node.readiness.pass("database");
    let port = Arc::new(Port::open(&config(|_| {})).expect("a free port"));
    let (fragile, break_it) = ChildSpec::actor("fragile", || Fragile);
    let children = vec![fragile, node.gateway.listener(Arc::clone(&port))];
    let tree = Tree::new();
    let watcher =
        ReadinessWatcher::new(Arc::clone(&tree), node.readiness.clone(), [(LISTENER_RULE, Vec::new())]);
    let root =
        Root::start("node", SupervisorSpec::new(Strategy::OneForAll, children), tree).await.expect("starts");
    watcher.compare();
    let watch = SupervisorSpec::new(Strategy::OneForOne, vec![watcher.child()]);
    let watch = Root::start("watch", watch, Tree::new()).await.expect("starts");
    node.address = port.address();
    node.post("/rpc/tests.echo", "", r#"{"text":"a"}"#).await.answers(json!("a"));
    let mut reports = node.readiness.subscribe();
    assert!(reports.borrow_and_update().ready);
    break_it.cast(Break).expect("it runs");
    let down = reports.wait_for(|report| !report.ready).await.expect("the node holds the sender").clone();
    assert_eq!(down.checks.iter().find(|check| !check.ready).map(|check| check.name), Some("listener"));
    reports.wait_for(|report| report.ready).await.expect("the node holds the sender");
    node.post("/rpc/tests.echo", "", r#"{"text":"b"}"#).await.answers(json!("b"));
    let mut busy = node.connect().await;
    busy.write(post("/rpc/tests.slow", "", "")).await;
    node.slow_calls.entered.notified().await;
    let (stopped, ()) = tokio::join!(root.stop(secs(10)), async {
        reports.wait_for(|report| !report.ready).await.expect("the node holds the sender");
        node.slow_calls.release.notify_one();
        busy.receive().await.answers(json!(true));
    });
    stopped.expect("in order");
    watch.stop(secs(10)).await.expect("in order");
    assert!(TcpStream::connect(port.address()).await.is_err(), "the port is closed");
}
