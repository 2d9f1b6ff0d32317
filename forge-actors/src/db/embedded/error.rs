//! Why there is no embedded database, and what helps.

use std::io;
use std::path::{Path, PathBuf};

/// Why the embedded database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No Postgres on this machine, and none could be fetched.
    #[error("no Postgres binaries (14 or later) were found, and none could be fetched:\n{}\n  help: {help}", lines(.tried))]
    NoBinaries {
        /// What was tried, one sentence each.
        tried: Vec<String>,
        /// A command that installs them here.
        help: &'static str,
    },
    /// The cluster was made by another major version than those found.
    #[error(
        "{} was made by Postgres {data}, and this machine has {}\n  help: install Postgres {data}, name the folder of its programs in FORGE_POSTGRES_BIN, or move the folder away to begin with an empty database",
        folder.display(), found.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    )]
    OtherVersion {
        /// The cluster.
        folder: PathBuf,
        /// Its version.
        data: u32,
        /// The versions found.
        found: Vec<u32>,
    },
    /// A file or folder could not be made, read or given to the server's user.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// As in "creating".
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program could not be run or failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which.
        program: String,
        /// Its last lines, or why it did not run.
        output: String,
    },
    /// The socket's path is longer than the operating system allows.
    #[error("the socket path {} is too long for this system\n  help: start in a folder with a shorter path", path.display())]
    SocketPath {
        /// The path.
        path: PathBuf,
    },
    /// The server ended or never answered.
    #[error("Postgres did not start: {reason}\n{}\n  help: the whole log is in {}", lines(.log), path.display())]
    NoStart {
        /// What was seen.
        reason: String,
        /// The log's last lines.
        log: Vec<String>,
        /// The log.
        path: PathBuf,
    },
    /// The server that ran is gone.
    #[error("Postgres is gone: {reason}")]
    Gone {
        /// What was seen.
        reason: String,
    },
    /// Nobody became ready within the time.
    #[error("another node keeps {} and its Postgres does not become ready\n  help: end that node, or look into {}", lock.display(), log.display())]
    OwnerStuck {
        /// The lock.
        lock: PathBuf,
        /// The server's log.
        log: PathBuf,
    },
    /// The server runs and refuses our own statements.
    #[error("{doing}: {source}")]
    Statement {
        /// As in "creating the database `app`".
        doing: &'static str,
        /// The failure.
        source: sqlx::Error,
    },
}

impl EmbeddedError {
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  - {line}")).collect::<Vec<_>>().join("\n")
}
