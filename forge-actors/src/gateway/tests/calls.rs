use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::json;

use super::node::{Node, post};
use crate::kernel::limits;

#[tokio::test]
async fn a_call_answers_data_and_the_headers_of_every_answer() {
    let node = Node::start(|_| {}).await;
    let answer = node.post("/rpc/tests.echo", "", r#"{"text":"hi"}"#).await;
    answer.answers(json!("hi"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
}

#[tokio::test]
async fn faults_have_their_status_and_keep_their_cause_to_themselves() {
    let node = Node::start(|_| {}).await;
    node.post("/rpc/tests.unknown", "", "{}").await.fails(404, "NOT_FOUND");
    let message = async |name: &str| {
        let answer = node.post(&format!("/rpc/tests.{name}"), "", "{}").await;
        answer.json()["error"]["message"].as_str().expect("a message").replace(name, "…")
    };
    assert_eq!(message("hidden").await, message("unknown").await, "the answers do not differ");
    node.get("/rpc/tests.hidden", "").await.fails(404, "NOT_FOUND");
    node.post("/rpc/tests.echo", "", r#"{"text":5}"#).await.fails(422, "VALIDATION");
    node.post("/rpc/tests.echo", "", "{").await.fails(400, "BAD_REQUEST");
    let exploded = node.post("/rpc/tests.explode", "", "{}").await;
    assert!(!exploded.fails(500, "INTERNAL").body.contains("secrets"));
    let busy = node.post("/rpc/tests.busy", "", "{}").await;
    assert_eq!(busy.fails(503, "OVERLOADED").header("retry-after"), Some("2"));
    assert_eq!(busy.json()["error"]["retryAfterMs"], 1_200);
}

#[tokio::test]
async fn paths_and_methods_that_are_not_served_say_what_is() {
    let node = Node::start(|_| {}).await;
    for path in ["/", "/rpc/", "/rpc/a/b", "/rpcs", "/health/x", "/rpc/../health"] {
        node.get(path, "").await.fails(404, "NOT_FOUND");
    }
    let put = node.send("PUT /rpc/tests.echo HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(put.fails(405, "METHOD_NOT_ALLOWED").header("allow"), Some("GET, POST"));
    for (function, allow) in [("any", "POST"), ("hidden", "GET, POST"), ("missing", "GET, POST")] {
        let put = node.send(&format!("PUT /rpc/tests.{function} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_eq!(put.fails(405, "METHOD_NOT_ALLOWED").header("allow"), Some(allow), "{function}");
    }
    let get = node.get("/rpc/tests.any", "").await;
    assert_eq!(get.fails(405, "METHOD_NOT_ALLOWED").header("allow"), Some("POST"));
    assert_eq!(node.get("/rpc", "").await.fails(405, "METHOD_NOT_ALLOWED").header("allow"), Some("POST"));
    let health = node.post("/health", "", "").await;
    assert_eq!(health.fails(405, "METHOD_NOT_ALLOWED").header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn a_body_is_json_or_absent() {
    let node = Node::start(|_| {}).await;
    let typed = |kind: &str| {
        format!(
            "POST /rpc/tests.echo HTTP/1.1\r\nhost: x\r\ncontent-length: 13\r\n{kind}\r\n{{\"text\":\"hi\"}}"
        )
    };
    for refused in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
        "application/jsonp",
    ] {
        node.send(&typed(&format!("content-type: {refused}\r\n"))).await.fails(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    node.send(&typed("")).await.fails(415, "UNSUPPORTED_MEDIA_TYPE");
    node.send(&typed("content-type: application/json\r\ncontent-encoding: gzip\r\n"))
        .await
        .fails(415, "UNSUPPORTED_MEDIA_TYPE");
    for taken in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
    {
        node.send(&typed(&format!("content-type: {taken}\r\n"))).await.answers(json!("hi"));
    }
    // A page of another origin can send an empty request without asking, too.
    for kind in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"] {
        for length in ["", "content-length: 0\r\n"] {
            node.send(&format!("POST /rpc/tests.busy HTTP/1.1\r\nhost: x\r\n{kind}{length}\r\n"))
                .await
                .fails(415, "UNSUPPORTED_MEDIA_TYPE");
        }
    }
    node.post("/rpc/tests.busy", "", "").await.fails(503, "OVERLOADED");
    let mut client = node.connect().await;
    client
        .write(
            b"POST /rpc/tests.echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{\"text\":\"\xff\xfe",
        )
        .await;
    client.write(b"}").await;
    client.receive().await.fails(400, "BAD_REQUEST");
}

#[tokio::test]
async fn deep_json_is_refused_and_the_connection_lives() {
    let node = Node::start(|_| {}).await;
    let mut client = node.connect().await;
    let deep = format!("{{\"value\":{}}}", "[".repeat(100_000));
    client.send(&post("/rpc/tests.any", "", &deep)).await.fails(400, "BAD_REQUEST");
    client.send(&post("/rpc", "", &deep[9..])).await.fails(400, "BAD_REQUEST");
    client.send(&post("/rpc/tests.echo", "", r#"{"text":"still here"}"#)).await.answers(json!("still here"));
}

#[tokio::test]
async fn queries_are_read_by_get_and_revalidated_by_tag() {
    let node = Node::start(|_| {}).await;
    let path = "/rpc/tests.echo?args=%7B%22text%22%3A%22a+b%20%C3%A4%22%7D";
    let first = node.get(path, "").await;
    assert_eq!(first.answers(json!("a b ä")).header("cache-control"), Some("private, no-cache"));
    let tag = first.header("etag").expect("a tag").to_owned();
    for sent in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let again = node.get(path, &format!("if-none-match: {sent}\r\n")).await;
        assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", Some(tag.as_str())));
    }
    node.get(path, "if-none-match: \"other\"\r\n").await.answers(json!("a b ä"));
    let failed = node.get("/rpc/tests.busy", "").await;
    assert_eq!(failed.fails(503, "OVERLOADED").header("cache-control"), Some("no-store"));
    for query in ["args=%7", "args=%zz", "args={}&args={}", "text=hi", "access_token=s3cret-word"] {
        let refused = node.get(&format!("/rpc/tests.echo?{query}"), "").await;
        assert!(!refused.fails(400, "BAD_REQUEST").body.contains("s3cret-word"));
    }
}

#[tokio::test]
async fn a_batch_answers_each_call_in_order() {
    let node = Node::start(|_| {}).await;
    let calls = r#"[{"id":1,"name":"tests.echo","args":{"text":"a"}},{"id":"two","name":"tests.nothing"},
        {"id":3.5,"name":"tests.explode","args":{}},{"id":-4,"name":"tests.echo","args":{"text":"b"}}]"#;
    let answer = node.post("/rpc", "", calls).await;
    assert_eq!(answer.status, 200);
    let items = answer.json();
    assert_eq!(items[0], json!({ "id": 1, "data": "a" }));
    assert_eq!((&items[1]["id"], &items[1]["error"]["code"]), (&json!("two"), &json!("NOT_FOUND")));
    assert_eq!((&items[2]["id"], &items[2]["error"]["code"]), (&json!(3.5), &json!("INTERNAL")));
    assert_eq!(items[2]["error"]["traceId"].as_str(), answer.header("x-trace-id"));
    assert_eq!(items[3], json!({ "id": -4, "data": "b" }));
    assert_eq!(node.post("/rpc", "", "[]").await.body, "[]");
}

#[tokio::test]
async fn a_batch_that_is_wrong_as_a_whole_is_one_error() {
    let node = Node::start(|_| {}).await;
    let call = r#"{"id":1,"name":"tests.echo","args":{"text":"a"}}"#;
    let batch = |count: usize| format!("[{}]", vec![call; count].join(","));
    assert_eq!(node.post("/rpc", "", &batch(limits::BATCH_CALLS_MAX)).await.status, 200);
    let long = node.post("/rpc", "", &batch(limits::BATCH_CALLS_MAX + 1)).await;
    assert_eq!(
        long.fails(413, "PAYLOAD_TOO_LARGE").json()["error"]["details"]["callsMax"],
        limits::BATCH_CALLS_MAX
    );
    for wrong in [
        "",
        "{}",
        call,
        "[1]",
        r#"[{"id":1}]"#,
        r#"[{"id":null,"name":"a"}]"#,
        r#"[{"id":1,"name":"a","x":1}]"#,
        "[{",
    ] {
        node.post("/rpc", "", wrong).await.fails(400, "BAD_REQUEST");
    }
}

#[tokio::test]
async fn a_trace_goes_through_and_request_ids_come_back() {
    let node = Node::start(|_| {}).await;
    let (trace, id) = ("4bf92f3577b34da6a3ce929d0e0e4736", "018f4d7a-0000-7000-8000-000000000001");
    let headers = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\nx-request-id: {id}\r\n");
    let answer = node.post("/rpc/tests.echo", &headers, r#"{"text":""}"#).await;
    assert_eq!((answer.header("x-trace-id"), answer.header("x-request-id")), (Some(trace), Some(id)));
    let sent = answer.header("traceparent").expect("a traceparent");
    assert!(sent.starts_with(&format!("00-{trace}-")) && !sent.contains("00f067aa0ba902b7"), "{sent}");
    let unusable = "traceparent: nonsense\r\nx-request-id: forged \\x1b[31m line\r\n";
    for headers in [unusable.to_owned(), headers.repeat(2)] {
        let answer = node.post("/rpc/tests.echo", &headers, r#"{"text":""}"#).await;
        assert!(
            answer.header("x-request-id").is_some_and(|new| new.parse::<uuid::Uuid>().is_ok() && new != id)
        );
        assert!(answer.header("x-trace-id").is_some_and(|new| new.len() == 32 && new != trace));
    }
}

#[tokio::test]
async fn http2_without_tls_is_served_too() {
    let node = Node::start(|_| {}).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let url = format!("http://{}/rpc/tests.echo", node.address);
    let answers = futures::future::join_all(
        (0..20).map(|n| client.post(&url).json(&json!({ "text": n.to_string() })).send()),
    )
    .await;
    for (n, answer) in answers.into_iter().enumerate() {
        let answer = answer.expect("an answer");
        assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
        assert_eq!(answer.json::<serde_json::Value>().await.expect("JSON"), json!({ "data": n.to_string() }));
    }
}

/// Panics where the gateway counts a request of `/health`.
struct FaultyRecorder;

impl Recorder for FaultyRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        assert!(key.labels().all(|label| label.value() != "health"), "a bug in the gateway's own code");
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn a_panic_ends_its_connection_only() {
    let node = Node::start(|_| {}).await;
    let _faulty = metrics::set_default_local_recorder(&FaultyRecorder);
    let mut other = node.connect().await;
    other.send(&post("/rpc/tests.echo", "", r#"{"text":"a"}"#)).await.answers(json!("a"));
    let mut unlucky = node.connect().await;
    unlucky.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(unlucky.closed().await.is_empty());
    other.send(&post("/rpc/tests.echo", "", r#"{"text":"b"}"#)).await.answers(json!("b"));
}
