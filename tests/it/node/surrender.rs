//! An actor that cannot be restarted: its supervisor's budget ends, then the root's, then the process, with
//! an exit code that says so.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use forge_tests::{Binary, Node, postgres_binaries};

use super::embedded::postmaster;
use super::stage::PATIENCE;

/// A bug, or a node that gave itself up (the command line's table of exit codes).
const GAVE_UP: i32 = 70;

#[tokio::test]
async fn a_node_whose_database_cannot_come_back_gives_up_in_order() {
    let folder = tempfile::tempdir().expect("make a directory");
    let programs = tempfile::tempdir().expect("make a directory");
    link_programs(programs.path());
    let start = Node::builder(Binary::Forge)
        .directory(folder.path())
        .environment("FORGE_POSTGRES_BIN", programs.path());
    let mut node = start.start().await;
    std::fs::remove_dir_all(programs.path()).expect("remove the programs");
    let killed = Command::new("kill").args(["-9", &postmaster(folder.path())]).status().expect("run kill");
    assert!(killed.success());

    let ended = node.process().ended(PATIENCE).await;
    assert_eq!(ended.code(), GAVE_UP, "{}", ended.stderr);
    let events = [
        "SIGKILL",
        "restarts=1",
        "restarts=5",
        "exhausted path=node/database",
        "exhausted path=node ",
        "error[gave-up]",
    ];
    let places: Vec<_> = events.iter().map(|event| ended.stderr.find(event)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{events:?} at {places:?}:\n{}",
        ended.stderr
    );
}

/// Postgres finds its other files through the links.
fn link_programs(folder: &Path) {
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("open the folder");
    for program in std::fs::read_dir(postgres_binaries()).expect("list the programs") {
        let program = program.expect("list the programs");
        symlink(program.path(), folder.join(program.file_name())).expect("link a program");
    }
}
