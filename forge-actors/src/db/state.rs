//! Whether the database is there: written by the monitor, read by everything that waits.

use std::time::Instant;

/// What the monitor last saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseState {
    /// The last ping was answered.
    Up,
    /// Pings fail.
    Away {
        /// Since when.
        since: Instant,
        /// The first failure, for people.
        cause: String,
    },
}

impl DatabaseState {
    /// True when the last ping was answered.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}
