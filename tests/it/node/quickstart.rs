//! The README's first two commands, and that the second start finds what the first one wrote.

use std::path::Path;

use forge_tests::{Binary, Node, Signal};
use serde_json::{Value, json};

use super::stage::PATIENCE;

#[tokio::test]
async fn a_first_start_serves_the_demo_and_a_second_one_finds_its_data() {
    let folder = tempfile::tempdir().expect("make a directory");
    let mut node = start_in(folder.path()).await;
    let banner = node.process().stdout().text();
    for word in ["http://127.0.0.1:", "gateway, worker", ".forge/pg", "/_dashboard/?code=", "(development)"] {
        assert!(banner.contains(word), "the banner lacks `{word}`:\n{banner}");
    }
    answers_say_what_helps(&node, &banner).await;

    let ana = json!({ "email": "ana@example.com", "name": "Ana", "password": "correct horse battery" });
    assert!(node.call("users.sign_up", ana, None).await.data()["token"].is_string());
    let token = sign_in(&node).await;
    let project =
        node.call("projects.create", json!({ "name": "Garden" }), Some(&token)).await.data()["id"].clone();
    let task = json!({ "project": project, "title": "Plant the apple tree" });
    let task = node.call("tasks.create", task, Some(&token)).await.data();
    assert_eq!(task["status"], "open");
    assert_eq!(list(&node, &project, &token).await, json!([task]));

    node.process().signal(Signal::INT);
    let ended = node.process().ended(PATIENCE).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    drop(node);

    let node = start_in(folder.path()).await;
    let token = sign_in(&node).await;
    assert_eq!(list(&node, &project, &token).await, json!([task]));
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

/// In development an answer carries the cause of its fault, and what helps.
async fn answers_say_what_helps(node: &Node, banner: &str) {
    let help = async |function: &str| {
        let reply = node.call(function, json!({}), None).await;
        reply.json()["error"]["help"].as_str().unwrap_or_default().to_owned()
    };
    assert!(help("tasks.lsit").await.starts_with("did you mean `tasks.list`?"));
    assert!(help("notices.task_assigned").await.contains("is a job: a handler dispatches it"));
    assert!(help("tasks.list").await.contains("authorization: Bearer"));
    // One code has many causes: what helps follows from the cause.
    let base = node.client().base();
    let said = async |request: reqwest::RequestBuilder| {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let answer: Value = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
        (status, answer["error"]["help"].as_str().unwrap_or_default().to_owned())
    };
    let get = || reqwest::Client::new().get(format!("{base}/ready"));
    let (status, help) = said(get().header("host", "evil.test")).await;
    assert!(status == 403 && help.contains("gateway.allowed_hosts"), "{status} {help}");
    let (status, help) = said(get().header("origin", base).header("origin", "http://x.test")).await;
    assert!(status == 400 && help.contains("header once"), "{status} {help}");
    let code = banner.split("?code=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a link");
    let redeem = json!({ "code": code });
    assert_eq!(node.call("forge.redeem", redeem.clone(), None).await.status, 200);
    let again = node.call("forge.redeem", redeem, None).await.json();
    assert!(
        again["error"]["help"].as_str().is_some_and(|help| help.contains("forge-node dashboard")),
        "{again}"
    );
}

async fn start_in(folder: &Path) -> Node {
    Node::builder(Binary::Forge).directory(folder).start().await
}

async fn sign_in(node: &Node) -> String {
    let credentials = json!({ "email": "ana@example.com", "password": "correct horse battery" });
    let session = node.call("users.sign_in", credentials, None).await.data();
    session["token"].as_str().expect("a session has a token").to_owned()
}

async fn list(node: &Node, project: &serde_json::Value, token: &str) -> serde_json::Value {
    node.call("tasks.list", json!({ "project": project }), Some(token)).await.data()
}
