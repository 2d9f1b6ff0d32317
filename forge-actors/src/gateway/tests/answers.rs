//! The memory of answers that wait for their clients.

use serde_json::json;

use super::node::{Node, post};
use crate::kernel::time::secs;

/// A quarter of it belongs to one address, which is four parts of files, less what is kept for small answers.
const ANSWERS_BYTES: usize = 1024 * 1024;
/// More than the kernel takes for a client that reads nothing.
const FILE_BYTES: usize = 8 * 1024 * 1024;

fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large.bin"), vec![b'x'; FILE_BYTES]).expect("write");
    std::fs::write(folder.path().join("small.txt"), "small").expect("write");
    folder
}

#[tokio::test]
async fn large_files_of_one_address_wait_and_nothing_else_does() {
    let folder = site();
    let node = Node::start_site(folder.path(), |config| {
        (config.responses_bytes_max, config.write_timeout) = (ANSWERS_BYTES, secs(60));
    })
    .await;
    let large = "GET /large.bin HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = node.connect().await;
        client.write(large).await;
        assert_eq!(client.receive_head().await.status, 200);
        held.push(client);
    }
    let mut waiting = node.connect().await;
    waiting.write(large).await;
    // Small answers to the same address do not wait for large ones, nor does another address.
    assert_eq!(node.get("/small.txt", "").await.body, "small");
    node.post("/rpc/tests.echo", "", r#"{"text":"a"}"#).await.answers(json!("a"));
    let mut other = node.connect_from([127, 0, 0, 2]).await;
    other.write(large).await;
    assert_eq!(other.receive_head().await.status, 200);
    drop(held.pop());
    assert_eq!(waiting.receive_head().await.status, 200, "it got what the closed connection gave back");
    let mut refused = node.connect().await;
    refused.write(large).await;
    // After its time in the queue.
    let answer = refused.receive().await;
    assert_eq!(answer.fails(503, "OVERLOADED").header("retry-after"), Some("1"));
}

#[tokio::test]
async fn calls_of_an_address_that_takes_no_answers_are_refused_before_they_run() {
    let node = Node::start(|config| {
        (config.responses_bytes_max, config.write_timeout) = (ANSWERS_BYTES, secs(60));
    })
    .await;
    let mut client = node.connect().await;
    let bytes = 16 * 1024 * 1024;
    client.write(post("/rpc/tests.big", "", &format!("{{\"bytes\":{bytes}}}"))).await;
    assert_eq!(client.receive_head().await.status, 200);
    let refused = node.post("/rpc/tests.echo", "", r#"{"text":"a"}"#).await;
    assert_eq!(refused.fails(503, "OVERLOADED").header("retry-after"), Some("1"));
    assert!(refused.body.contains("this address"), "{}", refused.body);
    assert_eq!(node.get("/health", "").await.status, 200);
    let mut other = node.connect_from([127, 0, 0, 2]).await;
    let answer = other.send(&post("/rpc/tests.echo", "", r#"{"text":"a"}"#)).await;
    assert!(answer.fails(503, "OVERLOADED").body.contains("of the node"), "one answer is larger than all");
    drop(client);
    // The node notices that the connection has closed, by itself.
    while node.post("/rpc/tests.echo", "", r#"{"text":"a"}"#).await.status != 200 {}
}

#[tokio::test]
async fn a_refused_batch_counts_while_it_waits_to_be_sent() {
    let node = Node::start(|config| {
        (config.responses_bytes_max, config.metrics_public) = (ANSWERS_BYTES, true);
    })
    .await;
    let mut client = node.connect().await;
    let calls = r#"[{"id":1,"name":"tests.big","args":{"bytes":200000}},{"id":2,"name":"tests.busy"}]"#;
    client.write(post("/rpc", "", calls)).await;
    let counted = async {
        loop {
            let metrics = node.get("/metrics", "").await.body;
            let bytes = metrics.lines().find_map(|line| line.strip_prefix("forge_http_response_bytes "));
            if bytes.is_some_and(|bytes| bytes.parse::<f64>().is_ok_and(|bytes| bytes >= 200_000.0)) {
                return;
            }
        }
    };
    tokio::select! {
        answer = client.receive() => panic!("{} was sent, and never counted", answer.status),
        () = counted => {}
    }
}
