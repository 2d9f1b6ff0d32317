use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::node::{Node, config, tokens};

fn signed(claims: &serde_json::Value) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(&[1; 32]))
        .expect("a token")
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn a_valid_token_is_the_caller() {
    let node = Node::start(|_| {}).await;
    node.post("/rpc/tests.whoami", &node.bearer(&[]), "").await.answers(json!("ann"));
    node.post("/rpc/tests.whoami", &node.bearer(&[]).replace("Bearer", "bearer"), "")
        .await
        .answers(json!("ann"));
    let denied = node.post("/rpc/tests.whoami", "", "").await;
    assert_eq!(denied.fails(401, "UNAUTHENTICATED").header("www-authenticate"), Some("Bearer"));
    node.post("/rpc/tests.manage", &node.bearer(&["editor"]), "").await.fails(403, "PERMISSION_DENIED");
    node.post("/rpc/tests.manage", &node.bearer(&["editor", "admin"]), "").await.answers(json!(true));
}

#[tokio::test]
async fn a_token_that_is_not_valid_fails_even_public_calls() {
    let node = Node::start(|_| {}).await;
    let now = chrono::Utc::now().timestamp();
    let good = json!({ "sub": "ann", "iat": now, "exp": now + 60 });
    let with = |key: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[key] = value;
        signed(&claims)
    };
    let without = |key: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("an object").remove(key);
        signed(&claims)
    };
    let stranger = tokens(2).issue("ann", &["admin"], None, Duration::from_secs(60)).expect("a token");
    // {"sub":"1","exp":9999999999,"iat":1,"roles":["admin"]}
    let payload = "eyJzdWIiOiIxIiwiZXhwIjo5OTk5OTk5OTk5LCJpYXQiOjEsInJvbGVzIjpbImFkbWluIl19";
    let none = [
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
        "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0",
        "eyJhbGciOiJOT05FIiwidHlwIjoiSldUIn0",
    ];
    let mut refused = vec![
        ("wrong secret", stranger),
        ("exp in the past", with("exp", json!(now - 60))),
        ("exp as string", with("exp", json!((now + 60).to_string()))),
        ("exp missing", without("exp")),
        ("nbf in the future", with("nbf", json!(now + 60))),
        ("nbf as string", with("nbf", json!((now + 60).to_string()))),
        ("iat in the future", with("iat", json!(now + 3_600))),
        ("sub missing", without("sub")),
        ("no token at all", "abc".to_owned()),
        (
            "signature cut off",
            signed(&good).rsplit_once('.').map(|(head, _)| format!("{head}.")).expect("three parts"),
        ),
    ];
    refused.extend(none.map(|header| ("alg none", format!("{header}.{payload}."))));
    for (case, token) in refused {
        for function in ["echo", "manage"] {
            let answer =
                node.post(&format!("/rpc/tests.{function}"), &bearer(&token), r#"{"text":""}"#).await;
            assert_eq!(answer.status, 401, "{case}: {}", answer.body);
            answer.fails(401, "UNAUTHENTICATED");
        }
    }
    node.post("/rpc/tests.whoami", &bearer(&signed(&good)), "").await.answers(json!("ann"));
}

#[tokio::test]
async fn a_token_counts_in_one_header_only() {
    let node = Node::start(|_| {}).await;
    let token = node.tokens.issue("ann", &[], None, Duration::from_secs(60)).expect("a token");
    node.post(&format!("/rpc/tests.whoami?access_token={token}"), "", "").await.fails(401, "UNAUTHENTICATED");
    node.post("/rpc/tests.whoami", &format!("cookie: token={token}\r\n"), "")
        .await
        .fails(401, "UNAUTHENTICATED");
    for header in ["Basic YTpi", "Bearer", "Bearer ", "token"] {
        node.post("/rpc/tests.echo", &format!("authorization: {header}\r\n"), r#"{"text":""}"#)
            .await
            .fails(401, "UNAUTHENTICATED");
    }
    let twice = format!("{}{}", bearer(&token), bearer(&token));
    node.post("/rpc/tests.echo", &twice, r#"{"text":""}"#).await.fails(400, "BAD_REQUEST");
}

#[tokio::test]
async fn without_a_secret_nobody_is_signed_in() {
    let node = Node::start_with(config(|_| {}), None).await;
    node.post("/rpc/tests.echo", "", r#"{"text":"a"}"#).await.answers(json!("a"));
    let refused = node.post("/rpc/tests.echo", &node.bearer(&[]), r#"{"text":"a"}"#).await;
    assert!(refused.fails(401, "UNAUTHENTICATED").body.contains("no secret is configured"));
}

#[tokio::test]
async fn metrics_are_for_administrators_and_count_what_happened() {
    let node = Node::start(|_| {}).await;
    node.get("/metrics", "").await.fails(401, "UNAUTHENTICATED");
    node.get("/metrics", &node.bearer(&["editor"])).await.fails(403, "PERMISSION_DENIED");
    node.post("/rpc/tests.echo", "", r#"{"text":"a"}"#).await;
    node.post("/rpc/tests.echo", "", "{}").await;
    node.post("/rpc/made.up", "", "{}").await;
    let metrics = node.get("/metrics", &node.bearer(&["admin"])).await;
    assert_eq!(
        (metrics.status, metrics.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    for line in [
        "forge_http_requests_total{route=\"rpc\",code=\"200\"} 1",
        "forge_http_requests_total{route=\"metrics\",code=\"401\"} 1",
        "forge_rpc_duration_seconds_count{handler=\"tests.echo\",outcome=\"ok\"} 1",
        "forge_rpc_duration_seconds_count{handler=\"tests.echo\",outcome=\"refused\"} 1",
        "forge_rpc_duration_seconds_count{handler=\"unknown\",outcome=\"refused\"} 1",
    ] {
        assert!(metrics.body.contains(line), "{line} is missing in\n{}", metrics.body);
    }
    assert!(!metrics.body.contains("made.up"));
    let open = Node::start(|config| config.metrics_public = true).await;
    assert_eq!(open.get("/metrics", "").await.status, 200);
}
