use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncReadExt;

use super::node::{Node, post};
use crate::gateway::connection::REFUSAL_PAUSE;
use crate::kernel::time::{millis, secs};

/// Short enough to wait for; the other limits of a test are far away, so that only one can be the cause.
const SOON: Duration = millis(100);
const FAR: Duration = secs(60);

#[tokio::test]
async fn a_head_that_does_not_end_closes_the_connection() {
    let node = Node::start(|config| (config.header_timeout, config.keep_alive) = (SOON, FAR)).await;
    let mut silent = node.connect().await;
    assert!(silent.closed().await.is_empty());
    let mut half = node.connect().await;
    half.write("POST /rpc/tests.echo HTTP/1.1\r\nhost: x\r\nx-slow").await;
    half.closed().await;
    let mut second = node.connect().await;
    second.send(&post("/rpc/tests.echo", "", r#"{"text":"a"}"#)).await.answers(json!("a"));
    second.write("G").await;
    assert!(second.closed().await.is_empty());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let node = Node::start(|config| (config.header_timeout, config.keep_alive) = (FAR, SOON)).await;
    let mut client = node.connect().await;
    client.send(&post("/rpc/tests.echo", "", r#"{"text":"a"}"#)).await.answers(json!("a"));
    assert!(client.closed().await.is_empty());
}

#[tokio::test]
async fn a_call_may_take_longer_than_a_head_or_idling() {
    let node = Node::start(|config| (config.header_timeout, config.keep_alive) = (SOON, SOON)).await;
    let mut slow = node.connect().await;
    slow.write(post("/rpc/tests.slow", "", "")).await;
    node.slow_calls.entered.notified().await;
    // A connection that came later has been closed for idling, so the slow one has outlived the limit.
    node.connect().await.closed().await;
    node.slow_calls.release.notify_one();
    slow.receive().await.answers(json!(true));
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_and_closed() {
    let node = Node::start(|config| config.body_timeout = SOON).await;
    let mut client = node.connect().await;
    client.write("POST /rpc/tests.echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{").await;
    let answer = client.receive().await;
    assert!(answer.fails(400, "BAD_REQUEST").body.contains("within 100ms"));
    client.closed().await;
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_closed() {
    let node = Node::start(|config| config.write_timeout = SOON).await;
    let bytes = 64 * 1024 * 1024;
    let mut client = node.connect_narrow().await;
    client.write(post("/rpc/tests.big", "", &format!("{{\"bytes\":{bytes}}}"))).await;
    let mut watcher = node.connect().await;
    // The server notices by itself; the gauge falls to the watcher's connection.
    loop {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: x\r\n{}\r\n", node.bearer(&["admin"]));
        if watcher.send(&request).await.body.contains("forge_http_connections 1") {
            break;
        }
    }
    let mut taken = Vec::new();
    // What was under way still arrives, or a reset does.
    let _ = client.stream.read_to_end(&mut taken).await;
    assert!(taken.len() < bytes, "the answer was cut off");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_and_while_it_comes() {
    let node = Node::start(|config| config.body_bytes_max = 1_000).await;
    let announced = "POST /rpc/tests.echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n";
    let mut client = node.connect().await;
    let answer = client.send(announced).await;
    assert_eq!(answer.fails(413, "PAYLOAD_TOO_LARGE").json()["error"]["details"]["bytesMax"], 1_000);
    // The client may go on sending for a moment without losing the answer; then the server closes.
    client.write(vec![b' '; 1_000_000]).await;
    client.closed().await;
    let mut counted = node.connect().await;
    counted.write("POST /rpc/tests.echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = format!("{:x}\r\n{}\r\n", 600, " ".repeat(600));
    counted.write(&chunk).await;
    counted.send(&chunk).await.fails(413, "PAYLOAD_TOO_LARGE");
    counted.closed().await;
    let fits = format!("{{\"text\":\"{}\"}}", "x".repeat(989));
    assert_eq!(node.post("/rpc/tests.echo", "", &fits).await.status, 200);
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused_while_the_client_sends() {
    let node = Node::start(|_| {}).await;
    let request = reqwest::Client::new().post(format!("http://{}/rpc/tests.echo", node.address));
    let answer =
        request.header("content-type", "application/json").body(vec![b' '; 100 * 1024 * 1024]).send().await;
    assert_eq!(answer.expect("the answer is not lost").status().as_u16(), 413);
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let node = Node::start(|config| config.header_bytes_max = 8 * 1024).await;
    let answer = node.get("/health", &format!("x-long: {}\r\n", "a".repeat(16 * 1024))).await;
    assert_eq!(answer.status, 431);
    assert_eq!(node.get("/health", &format!("x-long: {}\r\n", "a".repeat(4 * 1024))).await.status, 200);
}

#[tokio::test]
async fn a_connection_over_the_limit_is_answered_why() {
    let node = Node::start(|config| config.connections_max = 1).await;
    let mut first = node.connect().await;
    first.write(post("/rpc/tests.slow", "", "")).await;
    node.slow_calls.entered.notified().await;
    let mut second = node.connect().await;
    let refused = second.send(&post("/rpc/tests.echo", "", r#"{"text":"b"}"#)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.json()["error"]["code"], "OVERLOADED");
    assert!(second.closed().await.is_empty());
    node.slow_calls.release.notify_one();
    first.receive().await.answers(json!(true));
    first
        .send(&post("/rpc/tests.echo", "connection: close\r\n", r#"{"text":"a"}"#))
        .await
        .answers(json!("a"));
    first.closed().await;
    node.post("/rpc/tests.echo", "", r#"{"text":"c"}"#).await.answers(json!("c"));
}

#[tokio::test]
async fn garbage_after_a_request_ends_the_connection_after_its_answer() {
    let node = Node::start(|_| {}).await;
    let mut client = node.connect().await;
    client.write(format!("{}\0\u{1}GARBAGE\r\n\r\n", post("/rpc/tests.echo", "", r#"{"text":"a"}"#))).await;
    client.receive().await.answers(json!("a"));
    assert_eq!(client.receive().await.status, 400);
    assert!(client.closed().await.is_empty());
}

#[tokio::test]
async fn large_bodies_share_a_capacity() {
    let node =
        Node::start(|config| (config.body_bytes_max, config.bodies_bytes_max) = (100_000, 150_000)).await;
    let head = "POST /rpc/tests.echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n";
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(100_000 - 11));
    let slow = post("/rpc/tests.slow", "", &format!("{{{}}}", " ".repeat(99_998)));
    let mut first = node.connect().await;
    first.write(slow).await;
    // The call keeps its body while it runs.
    node.slow_calls.entered.notified().await;
    let mut second = node.connect().await;
    let refused = second.send(&format!("{head}{body}")).await;
    assert_eq!(refused.fails(503, "OVERLOADED").header("retry-after"), Some("1"));
    node.post("/rpc/tests.echo", "", r#"{"text":"small"}"#).await.answers(json!("small"));
    node.slow_calls.release.notify_one();
    first.receive().await.answers(json!(true));
    assert_eq!(node.send(&format!("{head}{body}")).await.status, 200);
}

#[tokio::test]
async fn an_idle_connection_is_closed_for_a_new_one() {
    let node = Node::start(|config| config.connections_max = 2).await;
    let echo = post("/rpc/tests.echo", "", r#"{"text":"a"}"#);
    let (mut silent, mut used) = (node.connect().await, node.connect().await);
    used.send(&echo).await.answers(json!("a"));
    let mut new = node.connect().await;
    new.send(&echo).await.answers(json!("a"));
    assert!(silent.closed().await.is_empty(), "it had been idle longest");
    used.send(&echo).await.answers(json!("a"));
    // HTTP/2 connections without a stream are idle, too.
    let http2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
    let health = format!("http://{}/health", node.address);
    assert_eq!(http2.get(&health).send().await.expect("an answer").status().as_u16(), 200);
    for _ in 0..3 {
        node.connect().await.send(&echo).await.answers(json!("a"));
    }
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let node = Node::start(|config| {
        (config.connections_max, config.address_connections_max) = (5, 3);
    })
    .await;
    let echo = post("/rpc/tests.echo", "", r#"{"text":"a"}"#);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = node.connect().await;
        client.send(&echo).await.answers(json!("a"));
        held.push(client);
    }
    for _ in 0..3 {
        let mut refused = node.connect().await;
        let answer = refused.receive().await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert!(answer.body.contains("this address"), "{}", answer.body);
        assert!(refused.closed().await.is_empty());
    }
    let mut other = node.connect_from([127, 0, 0, 2]).await;
    other.send(&echo).await.answers(json!("a"));
    for client in &mut held {
        client.send(&echo).await.answers(json!("a"));
    }
}

/// The least time is what is meant: a client that asks again at once gets its refusals no faster.
#[tokio::test]
async fn a_refusal_for_a_limit_is_sent_after_a_pause() {
    let node = Node::start(|_| {}).await;
    let began = Instant::now();
    node.post("/rpc/tests.busy", "", "").await.fails(503, "OVERLOADED");
    let batch = node.post("/rpc", "", r#"[{"id":1,"name":"tests.busy"}]"#).await;
    assert_eq!(batch.json()[0]["error"]["code"], "OVERLOADED");
    assert!(began.elapsed() >= 2 * REFUSAL_PAUSE);
}
