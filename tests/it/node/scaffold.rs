//! `forge-node new shop`: what it writes builds, and is served.

use std::process::Command;
use std::time::Duration;

use forge_tests::{Binary, Database, Node, Process, workspace};
use serde_json::json;

use super::stage::PATIENCE;

const BUILD: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_new_application_builds_and_runs() {
    let parent = tempfile::tempdir().expect("make a directory");
    let mut new = Command::new(Binary::Forge.path());
    new.current_dir(parent.path()).args(["new", "shop"]);
    let written = Process::spawn(&mut new).ended(PATIENCE).await;
    assert_eq!(written.code(), 0, "{}", written.stderr);
    let shop = parent.path().join("shop");
    // The same versions as here, so that what is compiled already is compiled only once.
    std::fs::copy(workspace().join("Cargo.lock"), shop.join("Cargo.lock")).expect("copy the lock file");

    let target = Binary::Forge.path().parent().and_then(|profile| profile.parent()).expect("a profile is in a target folder").to_owned();
    let mut build = Command::new("cargo");
    build.current_dir(&shop).args(["build", "--quiet"]).env("CARGO_TARGET_DIR", &target);
    let built = Process::spawn(&mut build).ended(BUILD).await;
    assert_eq!(built.code(), 0, "{}", built.stderr);
    assert_eq!(built.stderr, "", "a new application builds without a warning");

    let database = Database::create().await;
    let start = Node::builder(Binary::Forge).directory(&shop).database(&database).environment("CARGO_TARGET_DIR", target);
    let node = start.start().await;
    let ana = json!({ "email": "ana@example.com", "name": "Ana", "password": "correct horse battery" });
    let token = node.call("users.sign_up", ana, None).await.data()["token"].as_str().map(str::to_owned);
    let projects = node.call("projects.list", json!({}), token.as_deref()).await.data();
    assert_eq!(projects, json!([]));
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
