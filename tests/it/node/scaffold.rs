//! `forge-node new shop`: what it writes builds, and is served.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use forge_tests::{Binary, Database, Node, Process, Signal, until, workspace};
use serde_json::{Value, json};

use super::stage::PATIENCE;

const BUILD: Duration = Duration::from_secs(600);
/// The databases of the tests of applications.
const LEFTOVERS: &str = "SELECT datname::text FROM pg_database WHERE datname LIKE 'forge\\_test\\_%'";

#[tokio::test]
async fn a_new_application_builds_and_runs() {
    let parent = tempfile::tempdir().expect("make a directory");
    let shop = new_application(parent.path()).await;
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

/// In one test, because each needs the application compiled.
#[tokio::test]
async fn the_tests_of_a_new_application_pass_and_leave_nothing() {
    let parent = tempfile::tempdir().expect("make a directory");
    // Postgres, which runs as another user when root runs the tests, has to reach its folder.
    std::fs::set_permissions(parent.path(), PermissionsExt::from_mode(0o755)).expect("open the directory");
    let shop = new_application(parent.path()).await;
    let tests = ApplicationTests::build(&shop, &parent.path().join("testing")).await;
    tests.pass(tests.cargo(&["test", "--quiet"])).await;
    tests.pass(tests.cargo(&["nextest", "run"])).await;
    tests.end_with_their_process_that_is_killed().await;
    tests.drop_what_a_killed_run_left().await;
    tests.say_what_helps().await;
}

/// The tests of an application, compiled, with a folder for their embedded Postgres.
struct ApplicationTests {
    application: PathBuf,
    executable: PathBuf,
    folder: PathBuf,
}

impl ApplicationTests {
    async fn build(application: &Path, folder: &Path) -> Self {
        let mut tests = Self {
            application: application.to_owned(),
            executable: PathBuf::new(),
            folder: folder.to_owned(),
        };
        let mut build = tests.cargo(&["test", "--no-run", "--message-format=json"]);
        let built = Process::spawn(&mut build).ended(BUILD).await;
        assert_eq!(built.code(), 0, "{}", built.stderr);
        let messages = built.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let library = messages.filter(|message| message["target"]["kind"] == json!(["lib"]));
        let mut executable =
            library.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
        tests.executable = executable.next_back().expect("cargo names the tests of the library");
        tests
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.application).env("FORGE_TESTING_FOLDER", &self.folder);
        command.env_remove("DATABASE_URL");
        // What the runner of this test tells its own tests.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NEXTEST") {
                command.env_remove(name);
            }
        }
        command
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("cargo");
        command.args(arguments);
        command
    }

    fn postmaster(&self) -> PathBuf {
        self.folder.join("pg/postmaster.pid")
    }

    /// The tests pass, and their Postgres ends soon after them.
    async fn pass(&self, mut command: Command) {
        let ended = Process::spawn(&mut command).ended(BUILD).await;
        assert_eq!(ended.code(), 0, "{}\n{}", ended.stdout, ended.stderr);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("18 passed"), "{said}");
        assert!(self.folder.join("pg").exists(), "they had a Postgres of their own");
        self.server_ends().await;
    }

    async fn server_ends(&self) {
        let ended = || async { (!self.postmaster().exists()).then_some(()) };
        until("the Postgres of the tests has ended", PATIENCE, ended).await;
    }

    async fn end_with_their_process_that_is_killed(&self) {
        let mut tests = Process::spawn(&mut self.command(&self.executable));
        let started = || async { self.postmaster().exists().then_some(()) };
        until("the Postgres of the tests has started", PATIENCE, started).await;
        tests.signal(Signal::KILL);
        tests.ended(PATIENCE).await;
        self.server_ends().await;
    }

    async fn drop_what_a_killed_run_left(&self) {
        let database = Database::create().await;
        let leftovers = || database.column::<String>(LEFTOVERS);
        let on_server = |mut command: Command| {
            command.env("DATABASE_URL", database.url());
            command
        };
        let mut tests = Process::spawn(&mut on_server(self.command(&self.executable)));
        // The run is stopped while it is looked at, so that what is found is what the killed run leaves.
        until("a stopped run has a database", PATIENCE, || async {
            tests.signal(Signal::STOP);
            let found = !leftovers().await.is_empty();
            tests.signal(if found { Signal::KILL } else { Signal::CONT });
            found.then_some(())
        })
        .await;
        tests.ended(PATIENCE).await;
        let mut again = on_server(self.cargo(&["test", "--quiet"]));
        let ended = Process::spawn(&mut again).ended(BUILD).await;
        assert_eq!(ended.code(), 0, "{}\n{}", ended.stdout, ended.stderr);
        assert_eq!(leftovers().await, Vec::<String>::new());
    }

    /// What keeps tests from running is one sentence that says what helps.
    async fn say_what_helps(&self) {
        let cases = [
            ("FORGE_POSTGRES_BIN", "/nowhere", "this machine has none: install it ("),
            ("DATABASE_URL", "postgres://forge@127.0.0.1:1/none", "unset DATABASE_URL to test"),
        ];
        for (variable, value, sentence) in cases {
            let mut command = self.command(&self.executable);
            command.env(variable, value).arg("--test-threads=1");
            let ended = Process::spawn(&mut command).ended(PATIENCE).await;
            assert_eq!(ended.code(), 101, "{}\n{}", ended.stdout, ended.stderr);
            assert!(ended.stdout.contains(sentence), "no `{sentence}` in:\n{}", ended.stdout);
        }
    }
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

/// The folder of a new application, below `parent`.
async fn new_application(parent: &Path) -> PathBuf {
    let mut new = Command::new(Binary::Forge.path());
    new.current_dir(parent).args(["new", "shop"]);
    let written = Process::spawn(&mut new).ended(PATIENCE).await;
    assert_eq!(written.code(), 0, "{}", written.stderr);
    let shop = parent.join("shop");
    share_what_is_compiled(parent, &shop);
    shop
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
