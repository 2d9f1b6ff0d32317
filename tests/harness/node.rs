//! The real binaries as real processes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use super::client::{Client, Reply};
use super::database::Database;
use super::process::{Ended, Process, Signal};
use super::until::until;

/// A first start on an empty machine initialises a cluster: the longest thing that a start does.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Which program to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// `forge-node` with its demo application.
    Forge,
    /// The conformance application of the tests.
    Probe,
    /// The conformance application of the version before this one.
    PreviousProbe,
}

/// Where `tests/run` says the probe of the version before is.
const PREVIOUS_PROBE: &str = "FORGE_TEST_PREVIOUS_PROBE";

impl Binary {
    /// The file, next to the one that runs now. `tests/run` has built it; without that it is built here, so
    /// that it is never stale. That of the version before is always built by `tests/run`.
    pub fn path(self) -> PathBuf {
        match self {
            Self::Forge => built("forge-node"),
            Self::Probe => built("probe"),
            Self::PreviousProbe => std::env::var_os(PREVIOUS_PROBE)
                .unwrap_or_else(|| {
                    panic!("{PREVIOUS_PROBE} is not set: run the test by `tests/run previous`")
                })
                .into(),
        }
    }
}

/// The program `name` next to the one that runs now.
fn built(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let running = std::env::current_exe().expect("a running program has a path");
    let folder = running.parent().expect("a program is in a folder");
    // Test binaries are in `deps`, programs one folder above.
    let folder = if folder.ends_with("deps") {
        folder.parent().expect("`deps` is in the profile's folder")
    } else {
        folder
    };
    if std::env::var_os("FORGE_TEST_BINARIES").is_none() {
        BUILT.get_or_init(|| build(folder));
    }
    folder.join(name)
}

fn build(folder: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args(["build", "--quiet", "--workspace", "--bins"]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("run cargo").success(), "the binaries do not build");
}

/// The root of the source tree.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of the workspace")
}

/// What to start, and with what.
pub struct NodeBuilder {
    binary: Binary,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    files: Vec<(&'static str, String)>,
    port: u16,
    wrapper: Vec<OsString>,
    patience: Duration,
}

impl NodeBuilder {
    /// Serves this database.
    pub fn database(self, database: &Database) -> Self {
        self.database_url(database.url())
    }

    /// Serves the database behind this URL.
    pub fn database_url(self, url: &str) -> Self {
        self.arguments(["--database-url", url])
    }

    /// Adds command-line arguments after `start`.
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment.
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Writes a file into the node's directory.
    pub fn file(mut self, name: &'static str, content: impl Into<String>) -> Self {
        self.files.push((name, content.into()));
        self
    }

    /// Runs in this directory instead of an empty one of its own.
    pub fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts it through another program, which gets the node's command line after these arguments.
    pub fn through<A: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = A>) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// Waits this long for a start.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Node {
        let patience = self.patience;
        let (process, home) = self.launch();
        let mut node = Node { process, client: Client::new(""), _home: home };
        node.await_banner(patience).await;
        node.await_ready(patience).await;
        node
    }

    /// Starts it and waits for nothing: for starts that are refused.
    pub fn launch(self) -> (Process, Option<TempDir>) {
        let home = self.directory.is_none().then(|| tempfile::tempdir().expect("make a directory"));
        let directory =
            self.directory.as_deref().or(home.as_ref().map(TempDir::path)).expect("one of the two is set");
        for (name, content) in &self.files {
            std::fs::write(directory.join(name), content).expect("write the node's file");
        }
        let mut line = self.wrapper;
        line.push(self.binary.path().into());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(directory).env_clear().envs(inherited()).envs(self.environment);
        command.arg("start").args(["--port", &self.port.to_string()]).args(self.arguments);
        (Process::spawn(&mut command), home)
    }
}

/// Nothing of the developer's own configuration reaches a node, except what programs need to run, and package
/// managers to fetch.
fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    const NAMES: &[&str] =
        &["PATH", "HOME", "USER", "TMPDIR", "LANG", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
    const PREFIXES: &[&str] =
        &["PIP_", "NPM_CONFIG_", "npm_config_", "UV_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_"];
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_str().unwrap_or_default();
        NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// A running node.
pub struct Node {
    process: Process,
    client: Client,
    _home: Option<TempDir>,
}

impl Node {
    /// A node of this program, on a free port, in an empty directory.
    pub fn builder(binary: Binary) -> NodeBuilder {
        NodeBuilder {
            binary,
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            files: Vec::new(),
            port: 0,
            wrapper: Vec::new(),
            patience: START_LIMIT,
        }
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Calls a function.
    pub async fn call(&self, name: &str, args: serde_json::Value, token: Option<&str>) -> Reply {
        self.client.call(name, args, token).await
    }

    /// Status of `/ready`; `None` while nobody answers.
    pub async fn readiness(&self) -> Option<u16> {
        self.client.get("/ready").await.ok().map(|reply| reply.status)
    }

    /// Waits until `/ready` answers 200.
    pub async fn await_ready(&mut self, limit: Duration) {
        let ready = async {
            let client = &self.client;
            until("/ready answers 200", limit, || async {
                client.get("/ready").await.ok().filter(|reply| reply.status == 200)
            })
            .await;
        };
        ready.await;
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn stop(mut self, limit: Duration) -> Ended {
        self.process.signal(Signal::TERM);
        self.process.ended(limit).await
    }

    /// Reads the address from the banner; a node that ends instead fails the test with what it said.
    async fn await_banner(&mut self, patience: Duration) {
        let process = &mut self.process;
        let base = until("the banner names the address", patience, || {
            let address = address_in(&process.stdout().text());
            assert!(
                address.is_some() || !process.has_ended(),
                "the node ended:\n{}",
                process.stderr().text()
            );
            async move { address }
        })
        .await;
        self.client = Client::new(base);
    }
}

/// The `http://host:port` behind the banner's `app`.
fn address_in(text: &str) -> Option<String> {
    let from = text.find("app  ")? + text[text.find("app  ")?..].find("http://")?;
    let address: String = text[from..].chars().take_while(|c| !c.is_whitespace()).collect();
    Some(address.trim_end_matches(['/', ',', '.']).to_owned())
}
