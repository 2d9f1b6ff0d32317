//! Builds the application in the folder of a `forge.toml`, and replaces the `forge-node` process by it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::boot::runtime::concurrently;
use crate::boot::signal::interruptible;
use crate::config::load::FILE_NAME;
use crate::terminal::context::CommandContext;
use crate::terminal::report::{Exit, Report};

/// The application's folder: that of `forge.toml`, when it has a `Cargo.toml` too.
pub fn application(context: CommandContext<'_>) -> Option<PathBuf> {
    let file = context.file()?;
    let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let is_application =
        file.file_name().is_some_and(|name| name == FILE_NAME) && folder.join("Cargo.toml").is_file();
    is_application.then(|| folder.to_owned())
}

/// Builds the application in `folder`, and replaces this process by it with the same arguments. Returns only
/// when that failed.
pub fn become_application(folder: &Path, release: bool, context: CommandContext<'_>) -> Report {
    match build(folder, release, context) {
        Ok(binary) => {
            let error = Command::new(&binary).args(std::env::args_os().skip(1)).exec();
            Report::new(Exit::Failed, "exec", "the application was built and cannot be started")
                .tried(binary.display().to_string())
                .cause(error)
        }
        Err(report) => report,
    }
}

/// Builds the binaries of the package in `folder`, and returns the path of the one to run.
pub fn build(folder: &Path, release: bool, context: CommandContext<'_>) -> Result<PathBuf, Report> {
    let manifest = folder.join("Cargo.toml");
    let package = Package::read(&manifest)?;
    let mut cargo = cargo(&manifest, "build");
    cargo
        .args(["--bins", "--message-format", "json-render-diagnostics", "--package", &package.id])
        .stderr(Stdio::inherit());
    if release {
        cargo.arg("--release");
    }
    if context.global.quiet {
        cargo.arg("--quiet");
    }
    let place = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    context.progress(&format!("building {} in {}", package.name, place.display()));
    if !package.target.join(if release { "release" } else { "debug" }).exists() {
        context.progress(
            "the first build compiles Forge and its libraries too: minutes, where later ones take seconds",
        );
    }
    let output = concurrently(interruptible(run_to_end(cargo)))?;
    if !output.status.success() {
        return Err(Report::new(
            Exit::Failed,
            "build-failed",
            format!("the application `{}` does not build", package.name),
        )
        .tried(format!("cargo build --manifest-path {}", manifest.display()))
        .help("correct the errors that the compiler printed above"));
    }
    let binaries = binaries(&output.stdout, &package.id);
    package.choose(binaries)
}

/// Runs `command` to its end. When the future is dropped, the command is killed with all processes that it
/// started: a compiler that goes on after an interrupt would keep the lock of the target folder.
async fn run_to_end(mut command: Command) -> Result<Output, Report> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
    let child = tokio::process::Command::from(command).spawn().map_err(no_cargo)?;
    let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let output = child.wait_with_output().await.map_err(no_cargo)?;
    group.0 = None;
    Ok(output)
}

/// A process group that is terminated when this value is dropped.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The signal fails when the group has just ended.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

fn cargo(manifest: &Path, verb: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(verb).arg("--manifest-path").arg(manifest);
    command
}

fn no_cargo(error: std::io::Error) -> Report {
    Report::new(Exit::Failed, "no-cargo", "cargo cannot be run")
        .cause(error)
        .help("install Rust: https://rustup.rs")
}

/// True when the application in `folder` uses this version of Forge, so that both read the same
/// configuration.
pub fn uses_this_version(folder: &Path) -> bool {
    let entry = format!("name = \"forge-node\"\nversion = {:?}\n", env!("CARGO_PKG_VERSION"));
    std::fs::read_to_string(folder.join("Cargo.lock")).is_ok_and(|lock| lock.contains(&entry))
}

/// A package, as `cargo metadata` describes it.
struct Package {
    id: String,
    name: String,
    /// The folder for what is built.
    target: PathBuf,
    default_run: Option<String>,
}

impl Package {
    fn read(manifest: &Path) -> Result<Self, Report> {
        let mut metadata = cargo(manifest, "metadata");
        let output = metadata
            .args(["--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(no_cargo)?;
        let failed = || {
            Report::new(Exit::Failed, "no-package", "cargo finds no package")
                .tried(manifest.display().to_string())
        };
        if !output.status.success() {
            return Err(failed().help("correct the errors that cargo printed above"));
        }
        let known: Value = serde_json::from_slice(&output.stdout).map_err(|error| failed().cause(error))?;
        let manifest = manifest.canonicalize().map_err(|error| failed().cause(error))?;
        let packages = known["packages"].as_array().into_iter().flatten();
        let package = packages
            .into_iter()
            .find(|package| {
                package["manifest_path"]
                    .as_str()
                    .is_some_and(|path| Path::new(path).canonicalize().is_ok_and(|path| path == manifest))
            })
            .ok_or_else(|| failed().help("put forge.toml into the folder of a package's Cargo.toml"))?;
        let text = |key: &str| package[key].as_str().map(str::to_owned);
        Ok(Self {
            id: text("id").unwrap_or_default(),
            name: text("name").unwrap_or_default(),
            target: known["target_directory"].as_str().unwrap_or_default().into(),
            default_run: text("default_run"),
        })
    }

    /// The only binary; of several, the one named by `default-run`, or the one with the package's name.
    fn choose(&self, mut binaries: Vec<(String, PathBuf)>) -> Result<PathBuf, Report> {
        if binaries.len() == 1 {
            return Ok(binaries.remove(0).1);
        }
        let wanted = self.default_run.as_deref().unwrap_or(&self.name);
        if let Some((_, path)) = binaries.iter().find(|(name, _)| name == wanted) {
            return Ok(path.clone());
        }
        let names: Vec<_> = binaries.iter().map(|(name, _)| name.as_str()).collect();
        let found =
            if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
        Err(Report::new(
            Exit::Failed,
            "no-binary",
            format!("the package `{}` has no binary to run", self.name),
        )
        .cause(found)
        .help("add a src/main.rs with `forge::main!(..);`, or set `default-run` in Cargo.toml"))
    }
}

/// The name and path of each binary of the package, from cargo's messages.
fn binaries(messages: &[u8], package: &str) -> Vec<(String, PathBuf)> {
    let messages =
        messages.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let of_package = messages
        .filter(|message| message["reason"] == "compiler-artifact" && message["package_id"] == package);
    let binary = |message: Value| {
        Some((message["target"]["name"].as_str()?.to_owned(), message["executable"].as_str()?.into()))
    };
    of_package.filter_map(binary).collect()
}
