//! The demo's page in a real browser (`tests/browser`): two people on two nodes, the keyboard, a node that stops and comes back.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forge_tests::{Binary, Database, Node, NodeBuilder, Process, until, workspace};
use tempfile::TempDir;

use super::stage::PATIENCE;

/// A browser on a busy machine; each of its steps has a limit of its own.
const SCENE: Duration = Duration::from_secs(150);
/// Both nodes read the tokens that either of them writes.
const SECRET: &str = "[auth]\nsecret = \"a secret of the browser test's two nodes\"\n";

#[tokio::test]
async fn what_one_person_does_the_other_sees() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().expect("make a directory");
    let (first, second) = (demo(&database, &folder).start().await, demo(&database, &folder).start().await);
    let base = first.client().base().to_owned();
    let mut scene = play("board.mjs", &[&base, second.client().base()]);

    let told = || async { (scene.stdout().line("stop the node").is_some() || has_failed(&scene)).then_some(()) };
    until("the browser is done with the first node", SCENE, told).await;
    assert_eq!(first.stop(PATIENCE).await.code(), 0);
    let port = base.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("a port");
    let first = demo(&database, &folder).port(port).start().await;

    let ended = scene.ended(SCENE).await;
    assert_eq!(ended.code(), 0, "{}\n{}", ended.stdout, ended.stderr);
    println!("{}", ended.stdout);
    for node in [first, second] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

fn demo(database: &Database, folder: &TempDir) -> NodeBuilder {
    Node::builder(Binary::Forge).database(database).directory(folder.path()).file("forge.toml", SECRET)
}

/// It says on its standard error why.
fn has_failed(scene: &Process) -> bool {
    !scene.stderr().text().is_empty()
}

/// Starts a script of the browser's tests.
fn play(script: &str, arguments: &[&str]) -> Process {
    let folder = workspace().join("tests/browser");
    assert!(is_installed(&folder), "the browser's tests are not installed: `npm ci` in tests/browser, or tests/run");
    let mut node = Command::new("node");
    Process::spawn(node.current_dir(folder).arg(script).args(arguments))
}

fn is_installed(folder: &Path) -> bool {
    folder.join("node_modules/playwright-core/package.json").is_file()
}
