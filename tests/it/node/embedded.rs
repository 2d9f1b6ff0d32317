//! The embedded database: its crash is a state too, and a machine without Postgres gets one.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forge_tests::{Binary, Node, until};

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
    until("another server runs", PATIENCE, || async { (postmaster(folder.path()) != pid).then_some(()) }).await;
    node.await_ready(PATIENCE).await;
    assert!(!node.process().has_ended());
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_machine_without_postgres_gets_one() {
    if !rustix::process::getuid().is_root() {
        println!("skipped: only root can hide the machine's Postgres from a process");
        return;
    }
    let folder = tempfile::tempdir().expect("make a directory");
    let empty = tempfile::tempdir().expect("make a directory");
    let hide = format!(
        "mount -t tmpfs none /usr/lib/postgresql && \
         for program in postgres initdb pg_ctl; do \
           path=$(command -v $program) && mount --bind /dev/null \"$path\"; \
         done; exec \"$0\" \"$@\""
    );
    let node = Node::builder(Binary::Forge)
        .through(["unshare", "-m", "sh", "-c", hide.as_str()])
        .directory(folder.path())
        .environment("XDG_CACHE_HOME", empty.path())
        .patience(DOWNLOAD)
        .start()
        .await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

fn postmaster(folder: &Path) -> String {
    let file = folder.join(".forge/pg/postmaster.pid");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
