//! `generate`, as a person and a build types it.

use std::fs;
use std::path::Path;
use std::process::Command;

use forge_tests::{Binary, Ended, Process, workspace};

use super::stage::PATIENCE;

#[tokio::test]
async fn generated_files_are_written_once_and_compared_after() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let written = generate(folder.path(), &[]).await;
    assert_eq!(written.code(), 0, "{}", written.stderr);
    assert_eq!(written.stderr.matches("web/src/forge/").count(), 3, "{}", written.stderr);
    let api = folder.path().join("web/src/forge/api.ts");
    let (text, time) = (
        fs::read_to_string(&api).expect("api.ts"),
        fs::metadata(&api).and_then(|file| file.modified()).expect("its time"),
    );
    assert!(text.contains("create: mutation<") && !text.contains("findLogin"), "{text}");

    let again = generate(folder.path(), &[]).await;
    assert!(again.code() == 0 && again.stderr.contains("up to date"), "{}", again.stderr);
    assert_eq!(
        fs::metadata(&api).and_then(|file| file.modified()).expect("its time"),
        time,
        "what has not changed is not touched"
    );
    assert_eq!(generate(folder.path(), &["--check"]).await.code(), 0);
    let left: Vec<_> = fs::read_dir(api.parent().expect("a folder")).expect("the folder").collect();
    assert_eq!(left.len(), 3, "nothing is left beside the files: {left:?}");
}

#[tokio::test]
async fn a_check_names_what_has_changed_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let missing = generate(folder.path(), &["--check", "--out", "out"]).await;
    assert!(missing.code() == 5 && missing.stderr.contains("api.ts (missing)"), "{}", missing.stderr);
    assert!(!folder.path().join("out").exists(), "a check writes nothing");
    assert_eq!(generate(folder.path(), &["--out", "out"]).await.code(), 0);
    let schema = folder.path().join("out/schema.json");
    let text = fs::read_to_string(&schema).expect("schema.json");
    fs::write(&schema, text.replace("\"title\"", "\"headline\"").replace("tasks.rename", "tasks.retitle"))
        .expect("an older version");
    let stale = generate(folder.path(), &["--check", "--out", "out"]).await;
    assert_eq!(stale.code(), 5, "{}", stale.stderr);
    for line in [
        "schema.json",
        "type `Task`.title is new",
        "the function `tasks.retitle` is gone",
        "forge-node generate",
    ] {
        assert!(stale.stderr.contains(line), "`{line}` is not in:\n{}", stale.stderr);
    }
}

#[tokio::test]
async fn the_nodes_own_functions_are_generated_apart() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let written = generate(folder.path(), &["--system", "--out", "out"]).await;
    assert_eq!(written.code(), 0, "{}", written.stderr);
    let api = fs::read_to_string(folder.path().join("out/api.ts")).expect("api.ts");
    assert!(api.contains("(\"forge.tree\")") && !api.contains("tasks."), "{api}");
}

#[tokio::test]
async fn what_no_client_can_be_sent_is_named() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let refused = run(Binary::Probe, folder.path(), &["--out", "nowhere"]).await;
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    for line in ["error[untyped]", "`probe.transfer`: `args.amount` is of the type `i64`", "Int53", "Int64"] {
        assert!(refused.stderr.contains(line), "`{line}` is not in:\n{}", refused.stderr);
    }
}

/// The demo's files in the repository, which its web page is compiled against.
#[tokio::test]
async fn the_demo_is_compiled_against_its_own_handlers() {
    let out = workspace().join("forge-node/demo/web/src/forge");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let checked =
        generate(folder.path(), &["--check", "--out", out.to_str().expect("a path of UTF-8")]).await;
    assert_eq!(checked.code(), 0, "{}\nwrite them anew with `just generate`", checked.stderr);
}

/// The dashboard's client in the repository, which its page is compiled against.
#[tokio::test]
async fn the_dashboard_is_compiled_against_the_nodes_own_handlers() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let written = generate(folder.path(), &["--system", "--out", "out"]).await;
    assert_eq!(written.code(), 0, "{}", written.stderr);
    let fresh = fs::read_to_string(folder.path().join("out/api.ts")).expect("api.ts");
    let committed = fs::read_to_string(workspace().join("ui/src/forge/api.ts")).expect("api.ts");
    assert!(fresh == committed, "ui/src/forge/api.ts is old: ui/README.md says how it is written");
}

async fn generate(folder: &Path, arguments: &[&str]) -> Ended {
    run(Binary::Forge, folder, arguments).await
}

async fn run(binary: Binary, folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(binary.path());
    command.current_dir(folder).args(["generate", "--color", "never"]).args(arguments);
    Process::spawn(&mut command).ended(PATIENCE).await
}
