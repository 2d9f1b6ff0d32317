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
    assert!(
        allowed.header("access-control-allow-headers").is_some_and(|names| names.contains("authorization"))
    );
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
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    let answer = node.post("/rpc/tests.echo", "origin: https://app.example.com\r\n", r#"{"text":"a"}"#).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(answer.header("access-control-expose-headers").is_some_and(|names| names.contains("x-trace-id")));
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
