//! Whether the database answers: written by the monitor, read by everything that waits for the database.

use std::time::Instant;

/// The result of the monitor's last ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseState {
    /// The last ping was answered.
    Up,
    /// Pings fail.
    Away {
        /// The time of the first ping that failed.
        since: Instant,
        /// The error of the first ping that failed.
        cause: String,
    },
}

impl DatabaseState {
    /// True when the last ping was answered.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}
