use serde_json::json;

use super::node::{Node, post};
use crate::kernel::ip_network::IpNetwork;
use crate::kernel::time::secs;

fn networks(text: &str) -> Vec<IpNetwork> {
    vec![text.parse().expect("a network")]
}

#[tokio::test]
async fn a_trusted_proxy_says_who_the_client_is() {
    let node = Node::start(|config| config.trusted_proxies = networks("127.0.0.1")).await;
    let said = "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 192.0.2.1, 127.0.0.1\r\n";
    node.post("/rpc/tests.address", said, "").await.answers(json!("192.0.2.1"));
    node.get("/rpc/tests.address", "forwarded: for=\"[2001:db8::1]:80\"\r\n")
        .await
        .answers(json!("2001:db8::1"));
    for nothing in
        ["", "x-forwarded-for: \u{fc}, ,\r\n", "forwarded: for=\"\r\n", "forwarded: by=_hidden\r\n"]
    {
        node.post("/rpc/tests.address", nothing, "").await.answers(json!("127.0.0.1"));
    }
    // One connection carries the requests of many clients.
    let mut proxy = node.connect().await;
    for client in ["192.0.2.1", "192.0.2.2"] {
        let request = post("/rpc/tests.address", &format!("x-forwarded-for: {client}\r\n"), "");
        proxy.send(&request).await.answers(json!(client));
    }
    let mut stranger = node.connect_from([127, 0, 0, 2]).await;
    stranger.send(&post("/rpc/tests.address", said, "")).await.answers(json!("127.0.0.2"));
}

#[tokio::test]
async fn by_default_nobody_says_who_the_client_is() {
    let node = Node::start(|_| {}).await;
    let said = "x-forwarded-for: 192.0.2.1\r\nforwarded: for=192.0.2.1\r\n";
    node.post("/rpc/tests.address", said, "").await.answers(json!("127.0.0.1"));
}

#[tokio::test]
async fn a_trusted_proxy_may_open_more_connections_than_a_client() {
    let node = Node::start(|config| {
        (config.address_connections_max, config.trusted_proxies) = (1, networks("127.0.0.1"));
    })
    .await;
    let echo = post("/rpc/tests.echo", "", r#"{"text":"a"}"#);
    let (mut first, mut second) = (node.connect().await, node.connect().await);
    for proxy in [&mut first, &mut second] {
        proxy.send(&echo).await.answers(json!("a"));
    }
    let mut client = node.connect_from([127, 0, 0, 2]).await;
    client.send(&echo).await.answers(json!("a"));
    let refused = node.connect_from([127, 0, 0, 2]).await.receive().await;
    assert_eq!(refused.status, 503, "{}", refused.body);
}

#[tokio::test]
async fn clients_of_one_proxy_have_a_part_of_the_memory_each() {
    let node = Node::start(|config| {
        (config.responses_bytes_max, config.write_timeout) = (64 * 1024 * 1024, secs(60));
        config.trusted_proxies = networks("127.0.0.1");
    })
    .await;
    // More than a quarter of the memory waits for a client that takes nothing.
    let arguments = format!("{{\"bytes\":{}}}", 32 * 1024 * 1024);
    let mut slow = node.connect().await;
    slow.write(post("/rpc/tests.big", "x-forwarded-for: 192.0.2.1\r\n", &arguments)).await;
    assert_eq!(slow.receive_head().await.status, 200);
    let echo =
        |client: &str| post("/rpc/tests.echo", &format!("x-forwarded-for: {client}\r\n"), r#"{"text":"a"}"#);
    node.send(&echo("192.0.2.1")).await.fails(503, "OVERLOADED");
    node.send(&echo("192.0.2.2")).await.answers(json!("a"));
}
