//! Why the database cannot be used, for the person who starts a node: what was tried, why it failed, what
//! helps.
//!
//! Failures inside a call are `sqlx::Error` and become a [`Fault`]; this type is
//! for start-up, locks and the embedded database.

use std::borrow::Cow;
use std::error::Error as _;
use std::io;
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::kernel::diagnose::{Diagnose, FailureKind};
use crate::kernel::fault::Fault;
use crate::kernel::sqlstate::{ReadOnlyServer, SqlStateClass};
use crate::kernel::time::format_duration;

/// The oldest major version of Postgres that Forge supports.
pub const SERVER_MAJOR_MIN: u32 = 14;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The configured URL is not one of a database.
    #[error("`{url}` is not a database URL: {reason}")]
    BadUrl {
        /// The URL, without its password.
        url: String,
        /// What the parser expected.
        reason: String,
    },
    /// The host name has no address.
    #[error("the database host of {address} does not exist: {message}")]
    BadHost {
        /// Where the connection was tried: `host:port/database`.
        address: String,
        /// The resolver's answer.
        message: String,
    },
    /// User or password is wrong, or pg_hba.conf has no matching line.
    #[error("{address} refused the login: {message}")]
    Refused {
        /// Where the connection was tried: `host:port/database`.
        address: String,
        /// The server's message.
        message: String,
    },
    /// The server has no database of that name.
    #[error("{address} has no such database: {message}")]
    NoSuchDatabase {
        /// Where the connection was tried: `host:port/database`.
        address: String,
        /// The server's message.
        message: String,
    },
    /// The server is older than [`SERVER_MAJOR_MIN`].
    #[error("{address} runs Postgres {major}; Forge needs {SERVER_MAJOR_MIN} or later")]
    TooOld {
        /// Where the connection was made: `host:port/database`.
        address: String,
        /// The server's major version.
        major: u32,
    },
    /// The database did not answer for as long as `database.start_timeout` allows.
    #[error("the database at {address} did not answer for {}", rounded(*.waited))]
    Unreachable {
        /// Where the connection was tried: `host:port/database`.
        address: String,
        /// Time since the first attempt.
        waited: Duration,
        /// The failure of the last attempt.
        #[source]
        cause: sqlx::Error,
    },
    /// The server grants fewer connections than a node needs to serve.
    #[error("{address} grants {granted} connections to all programs together; a node needs at least {least}")]
    TooFewConnections {
        /// Where the connection was made: `host:port/database`.
        address: String,
        /// What the server grants.
        granted: usize,
        /// What a node with small pools needs.
        least: usize,
    },
    /// A statement of Forge's own failed.
    #[error("{doing} failed")]
    Statement {
        /// The activity, such as "taking the lock `x`".
        doing: String,
        /// The failure.
        source: sqlx::Error,
    },
    /// Another session held the lock for longer than the caller wanted to wait.
    #[error("the lock `{name}` was held by another session for {}", rounded(*.waited))]
    LockTimeout {
        /// The lock's name.
        name: String,
        /// Time since the first attempt.
        waited: Duration,
    },
    /// Statements of one connection run in different server processes, so a session lock protects nothing.
    #[error("{address} is a transaction pooler ({evidence}): advisory locks do not hold through it")]
    TransactionPooler {
        /// Where the connection was made: `host:port/database`.
        address: String,
        /// The observation that shows it.
        evidence: String,
    },
}

impl DatabaseError {
    /// Classifies a failed connection attempt: the error when a person must change something, `None` when
    /// waiting may help.
    pub fn permanent(address: &str, error: &sqlx::Error) -> Option<Self> {
        let address = address.to_owned();
        match error {
            sqlx::Error::Database(database) => {
                let message = database.message().to_owned();
                match database.code().as_deref() {
                    Some("28000" | "28P01" | "42501") => Some(Self::Refused { address, message }),
                    Some("3D000") => Some(Self::NoSuchDatabase { address, message }),
                    _ => None,
                }
            }
            // A resolver that fails for the moment may answer in a second. A name that it does not know is a
            // mistake.
            sqlx::Error::Io(source) if is_unknown_host(&source.to_string()) => {
                Some(Self::BadHost { address, message: source.to_string() })
            }
            sqlx::Error::Tls(reason) => Some(Self::Refused { address, message: reason.to_string() }),
            sqlx::Error::Configuration(reason) => {
                Some(Self::BadUrl { url: address, reason: reason.to_string() })
            }
            _ => None,
        }
    }
}

impl Diagnose for DatabaseError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadUrl { .. } => "database-url",
            Self::BadHost { .. } => "database-host",
            Self::Refused { .. } => "database-login",
            Self::NoSuchDatabase { .. } => "database-missing",
            Self::TooOld { .. } => "database-too-old",
            Self::Unreachable { .. } => "database-unreachable",
            Self::TooFewConnections { .. } => "database-connections",
            Self::Statement { .. } => "database",
            Self::LockTimeout { .. } => "lock-timeout",
            Self::TransactionPooler { .. } => "transaction-pooler",
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::BadUrl { .. } | Self::TransactionPooler { .. } => FailureKind::Config,
            Self::LockTimeout { .. } => FailureKind::Timeout,
            Self::BadHost { .. }
            | Self::Refused { .. }
            | Self::NoSuchDatabase { .. }
            | Self::TooOld { .. }
            | Self::Unreachable { .. }
            | Self::TooFewConnections { .. }
            | Self::Statement { .. } => FailureKind::Database,
        }
    }

    fn help(&self) -> Option<Cow<'_, str>> {
        let help = match self {
            Self::BadUrl { .. } => "write postgres://user:password@host:5432/name",
            Self::BadHost { .. } => "check the host in --database-url (getent hosts <host>)",
            Self::Refused { .. } => "try it with: psql \"<your database URL>\" -c 'select 1'",
            Self::NoSuchDatabase { .. } => "createdb -h <host> -U <user> <name>",
            Self::TooOld { .. } => {
                "upgrade the server, or start without --database-url to use the embedded one"
            }
            Self::TooFewConnections { .. } => {
                "raise max_connections, or the limit of the role or the database; or lower \
                 database.lock_connections_max, database.job_connections_max and \
                 database.control_connections_max"
            }
            Self::Unreachable { .. } => "pg_isready -d \"<your database URL>\"",
            Self::LockTimeout { .. } => {
                "SELECT pid, application_name FROM pg_stat_activity JOIN pg_locks USING (pid) \
                 WHERE locktype = 'advisory'"
            }
            Self::TransactionPooler { .. } => {
                "point the database URL at Postgres itself, or at a pool in session mode"
            }
            Self::Statement { .. } => return None,
        };
        Some(help.into())
    }
}

/// `duration` rounded to whole seconds, or to milliseconds below half a second.
fn rounded(duration: Duration) -> String {
    let seconds = Duration::from_secs(duration.as_secs_f64().round() as u64);
    format_duration(if seconds.is_zero() {
        Duration::from_millis(duration.as_millis() as u64)
    } else {
        seconds
    })
}

/// The error for a server that did not answer within `limit`. It is not `PoolTimedOut`, which says that other
/// callers have every session.
pub(super) fn no_answer(limit: Duration) -> sqlx::Error {
    let reason = format!("no answer within {}", format_duration(limit));
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, reason))
}

/// True for a name that the resolver does not know. The standard library gives lookup failures no kind of
/// their own, so their text decides.
fn is_unknown_host(message: &str) -> bool {
    message.contains("failed to lookup address information") && !message.contains("Temporary failure")
}

/// True when the session cannot be used again: its socket or its protocol broke, or the server ended it.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => is_fatal(database.as_ref()),
        // Arguments are encoded before anything is written.
        sqlx::Error::Encode(_) | sqlx::Error::RowNotFound => false,
        _ => true,
    }
}

/// True when what the session remembers no longer fits the schema, because a migration ran meanwhile: a
/// prepared statement, or the number of a type that was dropped and made again. The statement did not run; a
/// new session would run it.
pub fn is_stale(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    let routine = || database.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine);
    match database.code().as_deref() {
        // feature_not_supported and undefined_object have many causes. The routine's name identifies these,
        // whatever language the server's messages have.
        Some("0A000") => routine() == Some("RevalidateCachedQuery"),
        Some("42704") => routine() == Some("lookup_type_cache"),
        // internal_error: such messages are never translated.
        Some("XX000") => database.message().starts_with("cache lookup failed for type "),
        Some(state) => SqlStateClass::of(state) == SqlStateClass::StaleSession,
        None => false,
    }
}

/// True when the same call may succeed the next time, on another session: after a serialization failure, a
/// deadlock, or a schema that changed under a prepared statement.
pub(crate) fn lost_race(fault: &Fault) -> bool {
    fault.sqlstate().is_some_and(|state| SqlStateClass::of(&state) == SqlStateClass::LostRace)
        || fault.source().and_then(|source| source.downcast_ref()).is_some_and(is_stale)
}

/// True when a statement waited for a lock for longer than the transaction's `lock_timeout`.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    SqlStateClass::of_error(error) == Some(SqlStateClass::LockNotAvailable)
}

/// Names the cause when a write was refused in a session that may write: it is the server that takes none,
/// and another one may be the right one by now. The error is an `Io` error, as for a server that does not
/// answer: the session is discarded, and the caller may try again.
pub(super) fn as_read_only_server<T>(result: sqlx::Result<T>) -> sqlx::Result<T> {
    result.map_err(|error| match (SqlStateClass::of_error(&error), error.as_database_error()) {
        (Some(SqlStateClass::ReadOnlySession), Some(database)) => {
            read_only_server(database.message().to_owned())
        }
        _ => error,
    })
}

/// The error for a server that takes no writes.
pub(super) fn read_only_server(reason: String) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, ReadOnlyServer { reason }))
}

/// True for an error that [`read_only_server`] made.
pub(super) fn is_read_only_server(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(io) if io.get_ref().is_some_and(|inner| inner.is::<ReadOnlyServer>()))
}

fn is_fatal(database: &dyn sqlx::error::DatabaseError) -> bool {
    let severity = database.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::error_chain::error_chain;

    #[test]
    fn measured_times_are_printed_in_whole_seconds() {
        let check = |ms: u64, expected: &str| assert_eq!(rounded(Duration::from_millis(ms)), expected);
        check(60_001, "1m");
        check(61_499, "61s");
        check(1_500, "2s");
        check(120, "120ms");
    }

    #[test]
    fn the_cause_of_an_outage_is_its_source_and_not_in_its_sentence() {
        let unreachable = DatabaseError::Unreachable {
            address: "h:1/d".into(),
            waited: Duration::from_secs(3),
            cause: no_answer(Duration::from_secs(2)),
        };
        assert_eq!(unreachable.to_string(), "the database at h:1/d did not answer for 3s");
        assert_eq!(error_chain(&unreachable).matches("no answer within 2s").count(), 1);
    }
}
