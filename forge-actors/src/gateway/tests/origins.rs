use crate::gateway::config::GatewayConfig;

use super::node::Node;
use crate::subsystem::ConfigSection;

const PREFLIGHT: &str =
    "OPTIONS /rpc/tests.echo HTTP/1.1\r\nhost: x\r\naccess-control-request-method: POST\r\norigin: ";

#[tokio::test]
async fn only_listed_origins_are_let_in() {
    let node = Node::start(|config| config.cors_origins = vec!["https://app.example.com".to_owned()]).await;
    let allowed = node.send(&format!("{PREFLIGHT}https://app.example.com\r\n\r\n")).await;
    assert_eq!(
        (allowed.status, allowed.header("access-control-allow-origin")),
        (204, Some("https://app.example.com"))
    );
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let names = allowed.header("access-control-allow-headers").expect("a list");
    for sent in ["authorization", "content-type", "idempotency-key", "traceparent", "x-request-id"] {
        assert!(names.split(", ").any(|name| name == sent), "{sent} is not in {names}");
    }
    let origins = [
        "https://evil-app.example.com",
        "https://app.example.com.evil.org",
        "http://app.example.com",
        "null",
        "*",
    ];
    for origin in origins {
        let refused = node.send(&format!("{PREFLIGHT}{origin}\r\n\r\n")).await;
        assert_eq!(refused.fails(403, "PERMISSION_DENIED").header("access-control-allow-origin"), None);
        let answer = node.post("/rpc/tests.echo", &format!("origin: {origin}\r\n"), r#"{"text":"a"}"#).await;
        let allowed = answer.fails(403, "PERMISSION_DENIED").header("access-control-allow-origin");
        assert_eq!((allowed, answer.header("vary")), (None, Some("origin")));
        let page = format!("origin: {origin}\r\n");
        let read = node.get("/rpc/tests.echo?args=%7B%22text%22%3A%22a%22%7D", &page).await;
        assert_eq!((read.status, read.header("access-control-allow-origin")), (200, None));
    }
    let answer = node.post("/rpc/tests.echo", "origin: https://app.example.com\r\n", r#"{"text":"a"}"#).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(answer.header("access-control-expose-headers").is_some_and(|names| names.contains("x-trace-id")));
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let node = Node::start(|config| config.cors_origins = vec!["tauri://localhost".to_owned()]).await;
    let batch = r#"[{"id":1,"name":"tests.any","args":{"value":null}}]"#;
    for stranger in ["origin: http://evil.test\r\n", "sec-fetch-site: cross-site\r\n", "origin: null\r\n"] {
        for (path, body) in [("/rpc/tests.any", r#"{"value":null}"#), ("/rpc", batch)] {
            node.post(path, stranger, body).await.fails(403, "PERMISSION_DENIED");
        }
    }
    for own in
        ["", "origin: http://x\r\n", "sec-fetch-site: same-origin\r\n", "origin: tauri://localhost\r\n"]
    {
        node.post("/rpc/tests.any", own, r#"{"value":null}"#).await.answers(serde_json::json!(true));
        assert_eq!(node.post("/rpc", own, batch).await.status, 200);
    }
}

#[tokio::test]
async fn without_a_list_no_origin_is_let_in() {
    let node = Node::start(|_| {}).await;
    node.send(&format!("{PREFLIGHT}https://app.example.com\r\n\r\n")).await.fails(403, "PERMISSION_DENIED");
    node.send("OPTIONS /rpc/tests.echo HTTP/1.1\r\nhost: x\r\n\r\n").await.fails(405, "METHOD_NOT_ALLOWED");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_in_sentences() {
    assert_eq!(GatewayConfig::default().validate(), Vec::<String>::new());
    for origin in [
        "*",
        "null",
        "https://*.example.com",
        "app.example.com",
        "https://app.example.com/",
        "HTTPS://app.example.com",
        "ftp://a",
    ] {
        let config = GatewayConfig { cors_origins: vec![origin.to_owned()], ..GatewayConfig::default() };
        let wrong = config.validate();
        assert!(!wrong.is_empty(), "{origin}");
        assert!(wrong[0].contains("gateway.cors_origins") && wrong[0].contains(origin), "{wrong:?}");
    }
    let origins = [
        "https://app.example.com",
        "http://localhost:5173",
        "tauri://localhost",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "moz-extension://0f3c1a5e-8d0b-4d3a-9b55-3f0b8c6f2a11",
    ];
    let hosts = ["app.example.com", "*.example.com", "localhost", "10.0.0.7", "::1"];
    let config = GatewayConfig {
        cors_origins: origins.map(str::to_owned).to_vec(),
        allowed_hosts: hosts.map(str::to_owned).to_vec(),
        ..GatewayConfig::default()
    };
    assert_eq!(config.validate(), Vec::<String>::new());
    for host in
        ["", "*", "*.", "App.example.com", "app.example.com:80", "https://app.example.com", "a..b", "[::1]"]
    {
        let config = GatewayConfig { allowed_hosts: vec![host.to_owned()], ..GatewayConfig::default() };
        assert!(config.validate().iter().any(|wrong| wrong.contains("gateway.allowed_hosts")), "{host}");
    }
    let config = GatewayConfig {
        connections_max: 0,
        header_bytes_max: 100,
        keep_alive: std::time::Duration::ZERO,
        ..GatewayConfig::default()
    };
    assert_eq!(config.validate().len(), 3);
    let written = serde_json::to_value(GatewayConfig::default()).expect("JSON");
    assert_eq!(written["keep_alive"], "75s");
    assert!(serde_json::from_str::<GatewayConfig>(r#"{"prot": 80}"#).is_err());
    assert_eq!(
        serde_json::from_value::<GatewayConfig>(written).expect("reads back"),
        GatewayConfig::default()
    );
}
