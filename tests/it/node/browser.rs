//! Real browsers (`tests/browser`). On the demo's page: two people on two nodes, the keyboard, a session that
//! an administrator stops, a node that stops and comes back. In the dashboard: panics of handlers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forge_tests::{Binary, Database, Node, NodeBuilder, Process, probe, until, workspace};
use serde_json::json;
use tempfile::TempDir;

use super::peers::{await_links, member};
use super::stage::PATIENCE;

/// A browser on a busy machine; each of its steps has a limit of its own.
const SCENE: Duration = Duration::from_secs(150);
/// Both nodes read the tokens that either of them writes.
const SECRET: &str = "[auth]\nsecret = \"58c0e2f7a1d94b63b7e9306d4fa81c25\"\n";

#[tokio::test]
async fn what_one_person_does_the_other_sees() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().expect("make a directory");
    let (first, second) =
        (demo(&database, &folder, "first").start().await, demo(&database, &folder, "second").start().await);
    let base = first.client().base().to_owned();
    let link = link_into(Binary::Forge, &base, folder.path()).await;
    let mut scene = play("board.mjs", &[&base, second.client().base(), &link]);
    await_line(&scene, "stop the node").await;
    assert_eq!(first.stop(PATIENCE).await.code(), 0);
    await_line(&scene, "start the node").await;
    let port =
        base.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("a port");
    let first = demo(&database, &folder, "first").port(port).start().await;

    await_end(&mut scene).await;
    for node in [first, second] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

#[tokio::test]
async fn the_dashboard_shows_what_panics() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().expect("make a directory");
    let started = async |name: &str| member(&database, name).directory(folder.path()).start().await;
    let (first, second) = (started("first").await, started("second").await);
    await_links(&first, &["second"], PATIENCE).await;
    let link = link_into(Binary::Probe, first.client().base(), folder.path()).await;
    let mut scene = play("journal.mjs", &[&link]);
    await_line(&scene, "let them panic").await;
    let ana = probe::token("ana");
    assert_eq!(first.call("probe.panic", json!({}), Some(&ana)).await.status, 500);
    assert_eq!(second.call("probe.put_and_panic", json!({ "key": "k" }), Some(&ana)).await.status, 500);
    assert_eq!(
        first.call("jobs.enqueue_one", json!({ "kind": "explode", "key": "k" }), Some(&ana)).await.status,
        200
    );
    await_end(&mut scene).await;
}

fn demo(database: &Database, folder: &TempDir, name: &str) -> NodeBuilder {
    let node = Node::builder(Binary::Forge).database(database).directory(folder.path());
    node.file("forge.toml", SECRET).arguments(["--name", name])
}

/// What `dashboard` prints in the nodes' folder.
async fn link_into(binary: Binary, url: &str, folder: &Path) -> String {
    let mut command = Command::new(binary.path());
    let printed =
        Process::spawn(command.current_dir(folder).args(["dashboard", "--url", url])).ended(PATIENCE).await;
    assert_eq!(printed.code(), 0, "{}", printed.stderr);
    printed.stdout.trim().to_owned()
}

/// Waits until a script is as far as that, or has failed.
async fn await_line(scene: &Process, line: &str) {
    let printed = || async { (scene.stdout().line(line).is_some() || has_failed(scene)).then_some(()) };
    until(&format!("the browser says: {line}"), SCENE, printed).await;
}

async fn await_end(scene: &mut Process) {
    let ended = scene.ended(SCENE).await;
    assert_eq!(ended.code(), 0, "{}\n{}", ended.stdout, ended.stderr);
    println!("{}", ended.stdout);
}

/// It says on its standard error why.
fn has_failed(scene: &Process) -> bool {
    !scene.stderr().text().is_empty()
}

/// Starts a script of the browser's tests.
fn play(script: &str, arguments: &[&str]) -> Process {
    let folder = workspace().join("tests/browser");
    assert!(
        is_installed(&folder),
        "the browser's tests are not installed: `npm ci` in tests/browser, or tests/run"
    );
    let mut node = Command::new("node");
    Process::spawn(node.current_dir(folder).arg(script).args(arguments))
}

fn is_installed(folder: &Path) -> bool {
    folder.join("node_modules/playwright-core/package.json").is_file()
}
