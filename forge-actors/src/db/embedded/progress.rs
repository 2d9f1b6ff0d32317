//! What happens while an embedded database starts, for the terminal and the log.

/// A step of a start that takes time.
#[derive(Debug, Clone, Copy)]
pub enum EmbeddedProgress<'a> {
    /// This machine has no Postgres, and one is being installed into the cache.
    Fetching {
        /// The command that installs it.
        command: &'a str,
    },
    /// The installing program wrote a line to its stderr.
    Output {
        /// The line.
        line: &'a str,
    },
    /// The cluster is being made: this takes seconds and happens once.
    Creating,
    /// The server is being started.
    Starting,
    /// Another node owns the server, and this node waits until the server answers.
    Waiting,
    /// The database can be used, though not as it usually can.
    Warning {
        /// A sentence.
        text: &'a str,
    },
}
