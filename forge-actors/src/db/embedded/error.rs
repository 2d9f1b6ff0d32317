//! Why there is no embedded database, and what helps.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use crate::kernel::diagnose::{Diagnose, FailureKind};

/// Why the embedded database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// This machine has no Postgres, and none could be fetched.
    #[error(
        "no Postgres binaries (14 or later) were found, and none could be fetched:\n{}",
        indented(.tried)
    )]
    NoBinaries {
        /// What was tried, one sentence each.
        tried: Vec<String>,
        /// A command that installs Postgres on this machine.
        help: &'static str,
    },
    /// The cluster was made by another major version than those that were found.
    #[error("{} was made by Postgres {data}, and this machine has {}", folder.display(), majors(.found))]
    OtherVersion {
        /// The cluster.
        folder: PathBuf,
        /// The major version that made the cluster.
        data: u32,
        /// The major versions that were found.
        found: Vec<u32>,
    },
    /// A file or folder could not be made, read or given to the server's user.
    #[error("{doing} {} failed", path.display())]
    File {
        /// The operation, such as "creating".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The failure.
        source: io::Error,
    },
    /// A program could not be run, or failed.
    #[error("{program} failed: {output}")]
    Program {
        /// The program.
        program: String,
        /// Its last lines, or why it did not run.
        output: String,
    },
    /// The socket's path is longer than the operating system allows.
    #[error("the socket path {} is too long for this system", path.display())]
    SocketPath {
        /// The path.
        path: PathBuf,
    },
    /// The server ended or never answered.
    #[error("Postgres did not start: {reason}\n{}", indented(.log))]
    NoStart {
        /// The exit status, or the last failed connection attempt.
        reason: String,
        /// The last lines of the server's log.
        log: Vec<String>,
        /// The server's log.
        path: PathBuf,
    },
    /// The server that ran has ended.
    #[error("Postgres has ended: {reason}")]
    Gone {
        /// The exit status, or what shows that the process is gone.
        reason: String,
    },
    /// The node that owns the server did not get it ready in time.
    #[error("another node keeps {} and its Postgres does not become ready", lock.display())]
    OwnerStuck {
        /// The lock that the other node holds.
        lock: PathBuf,
        /// The server's log.
        log: PathBuf,
    },
    /// The server runs and refuses a statement of Forge's own.
    #[error("{doing} failed")]
    Statement {
        /// The operation, such as "creating the database `app`".
        doing: &'static str,
        /// The failure.
        source: sqlx::Error,
    },
}

impl EmbeddedError {
    /// Makes the error for an operation on `path`, such as "creating", from its failure.
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}

impl Diagnose for EmbeddedError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoBinaries { .. } => "no-postgres",
            Self::OtherVersion { .. } => "postgres-version",
            Self::File { .. }
            | Self::Program { .. }
            | Self::SocketPath { .. }
            | Self::NoStart { .. }
            | Self::Gone { .. }
            | Self::OwnerStuck { .. }
            | Self::Statement { .. } => "embedded-database",
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Database
    }

    fn help(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::NoBinaries { help, .. } => Some((*help).into()),
            Self::OtherVersion { data, .. } => Some(
                format!(
                    "install Postgres {data}, name the folder of its programs in FORGE_POSTGRES_BIN, or \
                     move the folder away to begin with an empty database"
                )
                .into(),
            ),
            Self::SocketPath { .. } => Some("start in a folder with a shorter path".into()),
            Self::NoStart { path, .. } => Some(format!("the whole log is in {}", path.display()).into()),
            Self::OwnerStuck { log, .. } => Some(format!("end that node, or read {}", log.display()).into()),
            Self::File { .. } | Self::Program { .. } | Self::Gone { .. } | Self::Statement { .. } => None,
        }
    }
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  - {line}")).collect::<Vec<_>>().join("\n")
}

fn majors(found: &[u32]) -> String {
    found.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
