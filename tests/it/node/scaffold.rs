//! `forge-node new shop`: what it writes builds, and is served.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forge_tests::{Binary, Database, Node, Process, Signal, until, workspace};
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
    share_what_is_compiled(parent.path(), &shop);
    let mut build = Command::new("cargo");
    build.current_dir(&shop).args(["build", "--quiet"]);
    let built = Process::spawn(&mut build).ended(BUILD).await;
    assert_eq!(built.code(), 0, "{}", built.stderr);
    assert_eq!(built.stderr, "", "a new application builds without a warning");

    let database = Database::create().await;
    // The start asks cargo once more, which waits for a build that holds the folder.
    let start = Node::builder(Binary::Forge).directory(&shop).database(&database).patience(BUILD);
    let node = start.start().await;
    let ana = json!({ "email": "ana@example.com", "name": "Ana", "password": "correct horse battery" });
    let token = node.call("users.sign_up", ana, None).await.data()["token"].as_str().map(str::to_owned);
    let projects = node.call("projects.list", json!({}), token.as_deref()).await.data();
    assert_eq!(projects, json!([]));
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_signal_ends_the_build_too() {
    let folder = tempfile::tempdir().expect("make a directory");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("write a file");
    write("forge.toml", "");
    write("Cargo.toml", "[package]\nname = \"shop\"\nedition = \"2024\"\n\n[workspace]\n");
    std::fs::create_dir(folder.path().join("src")).expect("make a directory");
    write("src/main.rs", "fn main() {}\n");
    // A cargo whose compiler never ends.
    write(
        "cargo",
        "#!/bin/sh\n[ \"$1\" = build ] || exec cargo \"$@\"\nsleep 600 &\necho $! > compiler\nwait\n",
    );
    let cargo = folder.path().join("cargo");
    std::fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).expect("make it executable");
    for signal in [Signal::INT, Signal::TERM] {
        let mut start = Command::new(Binary::Forge.path());
        start.current_dir(folder.path()).arg("start").env("CARGO", &cargo);
        let mut start = Process::spawn(&mut start);
        let compiler = folder.path().join("compiler");
        let written = || async { std::fs::read_to_string(&compiler).ok()?.trim().parse::<u32>().ok() };
        let compiler_id = until("the compiler runs", PATIENCE, written).await;
        start.signal(signal);
        let ended = start.ended(PATIENCE).await;
        assert_eq!(ended.code(), 130, "{}", ended.stderr);
        assert!(ended.stderr.contains("building shop in"), "{}", ended.stderr);
        until("the compiler has ended", PATIENCE, || async { (!runs(compiler_id)).then_some(()) }).await;
        std::fs::remove_file(&compiler).expect("remove the file");
    }
}

/// A process that nobody has waited for yet runs no more.
fn runs(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

/// The same versions, the same target folder and the same settings for dependencies as here, so that they are
/// compiled only once.
fn share_what_is_compiled(parent: &Path, shop: &Path) {
    let profile = Binary::Forge.path();
    let target = profile.parent().and_then(Path::parent).expect("a profile is in a target folder");
    let config =
        format!("[build]\ntarget-dir = {:?}\n\n[profile.dev.package.\"*\"]\ndebug = false\n", target);
    std::fs::create_dir(parent.join(".cargo")).expect("make a folder");
    std::fs::write(parent.join(".cargo/config.toml"), config).expect("write cargo's configuration");
    std::fs::copy(workspace().join("Cargo.lock"), shop.join("Cargo.lock")).expect("copy the lock file");
}
