use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpStream;

use super::node::{Client, Node, config, functions, post, tokens};
use crate::gateway::actor::listener;
use crate::gateway::readiness::Readiness;
use crate::gateway::routes::Gateway;
use crate::gateway::server::{Error, Port};
use crate::kernel::time::{millis, secs};

#[tokio::test]
async fn a_drain_lets_requests_finish_and_closes_the_port() {
    let node = Node::start(|_| {}).await;
    let mut idle = node.connect().await;
    idle.send(&post("/rpc/tests.echo", "", r#"{"text":"a"}"#)).await.answers(json!("a"));
    let mut busy = node.connect().await;
    busy.write(post("/rpc/tests.slow", "", "")).await;
    node.functions.entered.notified().await;
    node.drain.cancel();
    assert!(idle.closed().await.is_empty());
    assert!(TcpStream::connect(node.address).await.is_err(), "the port is closed");
    node.functions.go.notify_one();
    let answer = busy.receive().await;
    assert_eq!(answer.answers(json!(true)).header("connection"), Some("close"));
    node.served.await.expect("the drain ends");
}

#[tokio::test]
async fn a_drain_cuts_what_does_not_finish() {
    let node = Node::start(|config| config.drain_timeout = millis(100)).await;
    let mut busy = node.connect().await;
    busy.write(post("/rpc/tests.slow", "", "")).await;
    node.functions.entered.notified().await;
    node.drain.cancel();
    node.served.await.expect("the drain ends");
    assert!(busy.closed().await.is_empty());
}

#[tokio::test]
async fn the_port_stays_open_for_the_delay() {
    let node = Node::start(|config| config.drain_delay = secs(60)).await;
    node.drain.cancel();
    node.post("/rpc/tests.echo", "", r#"{"text":"a"}"#).await.answers(json!("a"));
}

#[tokio::test]
async fn ready_says_why_not() {
    let node = Node::start(|_| {}).await;
    let live = node.get("/health", "").await;
    assert_eq!((live.status, live.json()), (200, json!({ "status": "live" })));
    let starting = node.get("/ready", "").await;
    let expected =
        json!({ "ready": false, "draining": false, "checks": [{ "name": "database", "ready": false, "reason": "is starting" }] });
    assert_eq!((starting.status, starting.json()), (503, expected));
    node.readiness.pass("database");
    let ready = node.get("/ready", "").await;
    let expected = json!({ "ready": true, "draining": false, "checks": [{ "name": "database", "ready": true }] });
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
    assert!(matches!(taken, Error::InUse { .. }), "{taken}");
    let foreign = Port::open(&config(|config| config.host = "192.0.2.1".parse().expect("an address"))).err().expect("not local");
    assert!(matches!(foreign, Error::NotLocal { .. }), "{foreign}");
}
