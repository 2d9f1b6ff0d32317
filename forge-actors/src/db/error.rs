//! What can go wrong with the database itself, for the person who starts a node: what was tried, why it
//! failed, what helps.
//!
//! Failures inside a call are `sqlx::Error` and become a [`Fault`](crate::kernel::fault::Fault); this type is
//! for start-up, locks and the embedded database.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::kernel::time::format_duration;

/// The oldest server that Forge talks to.
pub const SERVER_MAJOR_MIN: u32 = 14;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL is none.
    #[error("`{url}` is not a database URL: {reason}\n  help: write postgres://user:password@host:5432/name")]
    BadUrl {
        /// The URL, without its password.
        url: String,
        /// What the parser said.
        reason: String,
    },
    /// The host name has no address.
    #[error(
        "the database host of {place} does not exist: {message}\n  help: check the host in --database-url (getent hosts <host>)"
    )]
    BadHost {
        /// Where the connection was tried.
        place: String,
        /// The resolver's answer.
        message: String,
    },
    /// User or password is wrong, or pg_hba.conf has no line for us.
    #[error(
        "{place} refused the login: {message}\n  help: try it with: psql \"<your database URL>\" -c 'select 1'"
    )]
    Refused {
        /// Where the connection was tried.
        place: String,
        /// What the server said.
        message: String,
    },
    /// The server is there, the database is not.
    #[error("{place} has no such database: {message}\n  help: createdb -h <host> -U <user> <name>")]
    NoSuchDatabase {
        /// Where the connection was tried.
        place: String,
        /// What the server said.
        message: String,
    },
    /// The server is older than Forge needs.
    #[error(
        "{place} runs Postgres {major}; Forge needs {SERVER_MAJOR_MIN} or later\n  help: upgrade the server, or start without --database-url to use the embedded one"
    )]
    TooOld {
        /// Where the connection was made.
        place: String,
        /// The server's major version.
        major: u32,
    },
    /// Nobody answered for as long as the configuration is willing to wait.
    #[error("the database at {place} did not answer for {}: {cause}\n  help: pg_isready -d \"<your database URL>\"", roughly(*.waited))]
    Away {
        /// Where the connection was tried.
        place: String,
        /// How long.
        waited: Duration,
        /// The last failure. Told in the sentence, before its help, and so no source: whoever prints the
        /// chain would tell it twice.
        cause: sqlx::Error,
    },
    /// A statement failed where none should.
    #[error("{doing}: {source}")]
    Statement {
        /// What was going on, as in "taking the lock `x`".
        doing: String,
        /// The failure.
        source: sqlx::Error,
    },
    /// Somebody else held the lock for longer than the caller wanted to wait.
    #[error("the lock `{name}` was held by another session for {}\n  help: SELECT pid, application_name FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory'", roughly(*.waited))]
    LockTimeout {
        /// The lock's name.
        name: String,
        /// How long.
        waited: Duration,
    },
    /// Statements of one connection run on different servers' sessions, so that a lock protects nothing.
    #[error(
        "{place} is a transaction pooler ({evidence}): advisory locks do not hold through it\n  help: point the database URL at Postgres itself, or at a pool in session mode"
    )]
    TransactionPooler {
        /// Where the connection was made.
        place: String,
        /// What gave it away.
        evidence: String,
    },
}

impl Error {
    /// Sorts a failed connection: what a person must change, and what only needs time (`None`).
    pub fn permanent(place: &str, error: &sqlx::Error) -> Option<Self> {
        let place = place.to_owned();
        match error {
            sqlx::Error::Database(database) => {
                let message = database.message().to_owned();
                match database.code().as_deref() {
                    Some("28000" | "28P01" | "42501") => Some(Self::Refused { place, message }),
                    Some("3D000") => Some(Self::NoSuchDatabase { place, message }),
                    _ => None,
                }
            }
            // A name that cannot be asked for just now may be there in a second; one that is unknown is a
            // mistake.
            sqlx::Error::Io(source) if is_unknown_host(&source.to_string()) => {
                Some(Self::BadHost { place, message: source.to_string() })
            }
            sqlx::Error::Tls(reason) => Some(Self::Refused { place, message: reason.to_string() }),
            sqlx::Error::Configuration(reason) => {
                Some(Self::BadUrl { url: place, reason: reason.to_string() })
            }
            _ => None,
        }
    }
}

/// A measured time for people: whole seconds, once there is one.
fn roughly(duration: Duration) -> String {
    let rounded = Duration::from_secs(duration.as_secs_f64().round() as u64);
    format_duration(if rounded.is_zero() {
        Duration::from_millis(duration.as_millis() as u64)
    } else {
        rounded
    })
}

/// The server did not say anything in time. Unlike `PoolTimedOut`, which says that other callers have every
/// session.
pub(super) fn no_answer(within: Duration) -> sqlx::Error {
    let reason = format!("no answer within {}", format_duration(within));
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, reason))
}

/// The standard library gives lookup failures no kind of their own.
fn is_unknown_host(message: &str) -> bool {
    message.contains("failed to lookup address information") && !message.contains("Temporary failure")
}

/// True when the session is of no more use: the socket or the protocol broke, or the server said good-bye.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => is_fatal(database.as_ref()),
        // Arguments are encoded before anything is written.
        sqlx::Error::Encode(_) | sqlx::Error::RowNotFound => false,
        _ => true,
    }
}

/// True when what the session has prepared no longer fits the schema: somebody migrated while it lay in the
/// pool. The statement did not run, and a session of now would run it.
pub fn is_stale(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    match database.code().as_deref() {
        // feature_not_supported has many causes; the routine names this one in every language of the server.
        Some("0A000") => {
            database.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine)
                == Some("RevalidateCachedQuery")
        }
        // invalid_sql_statement_name: the prepared statement is gone.
        Some("26000") => true,
        _ => false,
    }
}

fn is_fatal(database: &dyn DatabaseError) -> bool {
    let severity = database.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_times_are_told_in_whole_seconds() {
        let check = |ms: u64, expected: &str| assert_eq!(roughly(Duration::from_millis(ms)), expected);
        check(60_001, "1m");
        check(61_499, "61s");
        check(1_500, "2s");
        check(120, "120ms");
    }

    #[test]
    fn a_cause_is_told_once() {
        let away = Error::Away {
            place: "h:1/d".into(),
            waited: Duration::from_secs(3),
            cause: no_answer(Duration::from_secs(2)),
        };
        assert_eq!(away.to_string().matches("no answer within 2s").count(), 1);
        assert!(std::error::Error::source(&away).is_none());
    }
}
