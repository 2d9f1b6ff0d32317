//! Heads of requests that are refused before their route: hosts, repeated headers; and what the log keeps of
//! refusals.

use serde_json::json;

use super::node::{Answer, Node, post};

const ECHO: &str = r#"{"text":"a"}"#;

/// A request without a `Host` header but those in `headers`.
async fn get(node: &Node, version: &str, path: &str, headers: &str) -> Answer {
    node.send(&format!("GET {path} HTTP/{version}\r\nconnection: close\r\n{headers}\r\n")).await
}

#[tokio::test]
async fn a_request_names_one_host() {
    let node = Node::start(|_| {}).await;
    for headers in ["", "host:\r\n", "host: x\r\nhost: x\r\n", "host: x\r\nhost: y\r\n"] {
        for path in ["/health", "/rpc/tests.echo?args=%7B%22text%22%3A%22a%22%7D", "/"] {
            get(&node, "1.1", path, headers).await.fails(400, "BAD_REQUEST");
        }
    }
    assert_eq!(get(&node, "1.1", "/health", "host: x\r\n").await.status, 200);
    // Load balancers probe over HTTP/1.0, where a host may be missing.
    assert_eq!(get(&node, "1.0", "/health", "").await.status, 200);
    assert_eq!(get(&node, "1.0", "/ready", "").await.status, 503, "the checks have not passed");
    get(&node, "1.0", "/metrics", "").await.fails(400, "BAD_REQUEST");
}

#[tokio::test]
async fn hosts_of_others_are_refused_where_hosts_are_listed() {
    let node = Node::start(|config| config.allowed_hosts = vec!["app.example.com".to_owned()]).await;
    let address = node.address;
    for host in ["localhost", &address.to_string(), "app.example.com", "app.example.com:443"] {
        assert_eq!(get(&node, "1.1", "/health", &format!("host: {host}\r\n")).await.status, 200, "{host}");
    }
    for host in ["evil.test", "evil.test:80", "app.example.com.evil.test", "192.168.1.1"] {
        for path in ["/health", "/rpc/tests.echo", "/ws", "/", "/metrics"] {
            let refused = get(&node, "1.1", path, &format!("host: {host}\r\n")).await;
            refused.fails(403, "PERMISSION_DENIED");
        }
    }
    get(&node, "1.1", "http://evil.test/health", "host: localhost\r\n").await.fails(403, "PERMISSION_DENIED");
    let http2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .resolve("evil.test", address)
        .resolve("app.example.com", address)
        .build()
        .expect("a client");
    for (host, status) in [("evil.test", 403), ("app.example.com", 200)] {
        let url = format!("http://{host}:{}/health", address.port());
        assert_eq!(http2.get(url).send().await.expect("an answer").status().as_u16(), status, "{host}");
    }
}

#[tokio::test]
async fn a_header_with_one_value_is_sent_once() {
    let node = Node::start(|_| {}).await;
    let repeated = [
        "idempotency-key: a\r\nidempotency-key: b\r\n",
        "idempotency-key: a\r\nidempotency-key: a\r\n",
        "content-type: application/json\r\n",
        "content-encoding: identity\r\ncontent-encoding: gzip\r\n",
        "origin: http://x\r\norigin: http://x\r\n",
        "authorization: Bearer a\r\nauthorization: Bearer b\r\n",
        "sec-fetch-site: same-origin\r\nsec-fetch-site: cross-site\r\n",
    ];
    for headers in repeated {
        let refused = node.post("/rpc/tests.echo", headers, ECHO).await;
        let name = headers.split(':').next().expect("a name");
        assert!(refused.fails(400, "BAD_REQUEST").body.contains(name), "{}", refused.body);
    }
    node.post("/rpc/tests.echo", "accept: a/b\r\naccept: c/d\r\nx-own: 1\r\nx-own: 2\r\n", ECHO)
        .await
        .answers(json!("a"));
}

/// A proxy in front may believe the one length and this server the other (request smuggling). hyper believes
/// the chunks, and ends the connection (RFC 9112 §6.1).
#[tokio::test]
async fn what_follows_a_request_with_two_lengths_is_not_read() {
    let node = Node::start(|_| {}).await;
    let chunks = "c\r\n{\"text\":\"a\"}\r\n0\r\n\r\n";
    for lengths in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "content-length: 22\r\ntransfer-encoding: chunked\r\n",
    ] {
        let mut client = node.connect().await;
        client.send(&post("/rpc/tests.echo", "", ECHO)).await.answers(json!("a"));
        let head = format!(
            "POST /rpc/tests.echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{lengths}\r\n"
        );
        let smuggled = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write(format!("{head}{chunks}{smuggled}")).await;
        client.receive().await.answers(json!("a"));
        assert_eq!(client.closed().await, b"", "what follows is not read as a request");
    }
}

#[tokio::test]
async fn refusals_are_counted_by_their_code() {
    let node = Node::start(|config| config.metrics_public = true).await;
    let mut client = node.connect().await;
    for _ in 0..3 {
        client.send(&post("/rpc/made.up", "", "{}")).await.fails(404, "NOT_FOUND");
    }
    client.send(&post("/rpc/tests.busy", "", "{}")).await.fails(503, "OVERLOADED");
    let metrics = node.get("/metrics", "").await.body;
    for line in
        ["forge_http_faults_total{fault=\"NOT_FOUND\"} 3", "forge_http_faults_total{fault=\"OVERLOADED\"} 1"]
    {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}
