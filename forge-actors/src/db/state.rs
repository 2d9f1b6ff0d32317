//! Whether the database answers and takes writes: written by the monitor, read by everything that waits for
//! the database.

use std::time::{Duration, Instant};

use super::clock::ClockDifference;
use super::commit_wait::WaitingCommits;

/// The result of the monitor's last ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseState {
    /// The last ping was answered, by a server that takes writes.
    Up,
    /// Pings fail.
    Unreachable {
        /// The time of the first ping that failed.
        since: Instant,
        /// The error of the first ping that failed.
        cause: String,
    },
    /// A server answers that takes no writes: a standby, or one that is read-only by its configuration. After
    /// a switch-over it is the wrong one. Reads are still served.
    ReadOnly {
        /// The time of the first ping that such a server answered.
        since: Instant,
        /// Why the server takes no writes.
        cause: &'static str,
    },
}

impl DatabaseState {
    /// True when the last ping was answered, by a server that takes writes.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }

    /// How long the database has not been up; zero while it is.
    pub fn duration(&self) -> Duration {
        match self {
            Self::Up => Duration::ZERO,
            Self::Unreachable { since, .. } | Self::ReadOnly { since, .. } => since.elapsed(),
        }
    }
}

/// Whether a server takes writes, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerMode {
    /// It does.
    Writable,
    /// It replays the log of another server (`pg_is_in_recovery()`).
    Standby,
    /// Its transactions are read-only by default (`default_transaction_read_only`).
    ReadOnly,
}

impl ServerMode {
    /// Why the server takes no writes; `None` when it does.
    pub(super) fn obstacle(self) -> Option<&'static str> {
        match self {
            Self::Writable => None,
            Self::Standby => Some("it is a standby: pg_is_in_recovery() is true"),
            Self::ReadOnly => Some("default_transaction_read_only is on"),
        }
    }
}

/// What a server says about itself when it is pinged.
#[derive(Debug)]
pub(super) struct ServerReport {
    pub(super) mode: ServerMode,
    /// How this machine's clock differs from the server's.
    pub(super) clock: ClockDifference,
    /// The commits that wait for a standby.
    pub(super) commits: WaitingCommits,
}
