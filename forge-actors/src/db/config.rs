//! The `[database]` section.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;

use crate::kernel::limits;
use crate::kernel::time::{format_duration, minutes, secs, serde_duration};
use crate::subsystem::ConfigSection;

use super::error::DatabaseError;

/// Where the database is, how many connections this node may hold, and how long it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `postgres://user:password@host:port/name`. Absent: the embedded database, in `.forge/pg`.
    pub url: Option<DatabaseUrl>,
    /// Connections for mutations; a mutation holds one for as long as its transaction.
    pub write_connections_max: usize,
    /// Connections for queries (their sessions are read-only by default); one is held for one statement.
    pub read_connections_max: usize,
    /// Connections for advisory locks and migrations; a lock keeps one for as long as it is held.
    pub lock_connections_max: usize,
    /// Connections for the job subsystem: claims, promotions, rescues and results.
    pub job_connections_max: usize,
    /// Connections for health checks, cancellation, heartbeats, and begins and leases of jobs.
    pub control_connections_max: usize,
    /// How long a call waits for a free connection. After that it is `OVERLOADED`, or `UNAVAILABLE` when the
    /// database does not answer.
    #[serde(with = "serde_duration")]
    pub acquire_timeout: Duration,
    /// How long opening one connection may take.
    #[serde(with = "serde_duration")]
    pub connect_timeout: Duration,
    /// How long the answer to a commit is awaited before the outcome counts as unknown.
    #[serde(with = "serde_duration")]
    pub commit_timeout: Duration,
    /// A connection older than this is replaced when it is next acquired.
    #[serde(with = "serde_duration")]
    pub connection_age_max: Duration,
    /// A connection unused for this long is closed.
    #[serde(with = "serde_duration")]
    pub connection_idle_max: Duration,
    /// The time limit of every statement whose code sets no limit of its own.
    #[serde(with = "serde_duration")]
    pub statement_timeout: Duration,
    /// Postgres ends a session that idles inside a transaction for longer than this, with the transaction. So
    /// the locks of a node that is frozen are free before another node takes its jobs over.
    #[serde(with = "serde_duration")]
    pub idle_in_transaction_timeout: Duration,
    /// A transaction of this database, of any client, that has been open for longer is shown: vacuum removes
    /// nothing that it may still see, and live queries read more of the change log.
    #[serde(with = "serde_duration")]
    pub long_transaction_after: Duration,
    /// How long a starting node waits for the database before it gives up.
    #[serde(with = "serde_duration")]
    pub start_timeout: Duration,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            write_connections_max: 16,
            read_connections_max: 16,
            lock_connections_max: 4,
            job_connections_max: 6,
            control_connections_max: 4,
            acquire_timeout: secs(3),
            connect_timeout: secs(2),
            commit_timeout: secs(10),
            connection_age_max: minutes(30),
            connection_idle_max: minutes(5),
            statement_timeout: limits::HANDLER_TIMEOUT_MAX,
            idle_in_transaction_timeout: secs(8),
            long_transaction_after: minutes(5),
            start_timeout: secs(60),
        }
    }
}

impl ConfigSection for DatabaseConfig {
    const NAME: &'static str = "database";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (key, count) in [
            ("write_connections_max", self.write_connections_max),
            ("read_connections_max", self.read_connections_max),
            ("lock_connections_max", self.lock_connections_max),
            ("job_connections_max", self.job_connections_max),
            ("control_connections_max", self.control_connections_max),
        ] {
            if count == 0 || count > 1_000 {
                broken.push(format!("database.{key} is {count}; it must lie between 1 and 1000"));
            }
        }
        for (key, duration) in [
            ("acquire_timeout", self.acquire_timeout),
            ("connect_timeout", self.connect_timeout),
            ("commit_timeout", self.commit_timeout),
            ("connection_age_max", self.connection_age_max),
            ("connection_idle_max", self.connection_idle_max),
            ("statement_timeout", self.statement_timeout),
            ("idle_in_transaction_timeout", self.idle_in_transaction_timeout),
            ("long_transaction_after", self.long_transaction_after),
        ] {
            if duration.is_zero() {
                broken.push(format!("database.{key} is 0; it must be longer than 0"));
            }
        }
        if self.connect_timeout > self.acquire_timeout {
            broken.push(format!(
                "database.connect_timeout ({}) is longer than database.acquire_timeout ({}): \
                 a call would stop waiting before its new connection is open",
                format_duration(self.connect_timeout),
                format_duration(self.acquire_timeout),
            ));
        }
        if self.statement_timeout < limits::HANDLER_TIMEOUT {
            broken.push(format!(
                "database.statement_timeout ({}) is shorter than a handler's own time limit ({}): \
                 it would end calls that are within their limit",
                format_duration(self.statement_timeout),
                format_duration(limits::HANDLER_TIMEOUT),
            ));
        }
        broken
    }
}

/// A database URL that prints without its password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Wraps `url` unchecked; [`options`](Self::options) parses it.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its password: to pass on to a child process, never to print.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The options that connections are opened with.
    ///
    /// # Errors
    /// `BadUrl` when the text is no URL of a Postgres database.
    pub fn options(&self) -> Result<PgConnectOptions, DatabaseError> {
        let scheme = self.0.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("postgres" | "postgresql")) {
            return Err(DatabaseError::BadUrl {
                url: self.to_string(),
                reason: "it must begin with postgres://".into(),
            });
        }
        PgConnectOptions::from_str(&self.0)
            .map_err(|error| DatabaseError::BadUrl { url: self.to_string(), reason: error.to_string() })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// `url` with `***` in the place of its password, which stands between the first `:` after the scheme and the
/// last `@`, or in `?password=`.
fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "<not a URL>".into() };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let rest = match rest.rsplit_once('@') {
        Some((login, place)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@{place}"),
            None => format!("{login}@{place}"),
        },
        None => rest.to_owned(),
    };
    let query = query.map(|query| {
        let pairs =
            query.split('&').map(|pair| if pair.starts_with("password=") { "password=***" } else { pair });
        format!("?{}", pairs.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{rest}{}", query.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_prints_without_its_password() {
        let check = |url: &str, expected: &str| assert_eq!(DatabaseUrl::new(url).to_string(), expected);
        check("postgres://u:secret@h:5432/d", "postgres://u:***@h:5432/d");
        check("postgres://u:se@cr:et@h/d", "postgres://u:***@h/d");
        check("postgres://u@h/d", "postgres://u@h/d");
        check(
            "postgres://h/d?password=secret&sslmode=require",
            "postgres://h/d?password=***&sslmode=require",
        );
        check("secret", "<not a URL>");
    }

    #[test]
    fn the_defaults_are_valid_and_broken_rules_name_both_keys() {
        assert_eq!(DatabaseConfig::default().validate(), Vec::<String>::new());
        let config = DatabaseConfig {
            connect_timeout: secs(9),
            write_connections_max: 0,
            ..DatabaseConfig::default()
        };
        let broken = config.validate();
        assert_eq!(broken.len(), 2);
        assert!(broken[0].contains("write_connections_max"));
        assert!(broken[1].contains("connect_timeout") && broken[1].contains("acquire_timeout"));
    }

    #[test]
    fn durations_are_words_and_unknown_keys_are_refused() {
        let read = |text: &str| serde_json::from_str::<DatabaseConfig>(text);
        let config = read(r#"{"acquire_timeout": "500ms", "url": "postgres://h/d"}"#).unwrap();
        assert_eq!(
            (config.acquire_timeout, config.read_connections_max),
            (std::time::Duration::from_millis(500), 16)
        );
        assert_eq!(read(&serde_json::to_string(&config).unwrap()).unwrap(), config);
        assert!(read(r#"{"acquire_timeout": 500}"#).is_err());
        assert!(read(r#"{"aquire_timeout": "5s"}"#).is_err());
    }

    #[test]
    fn a_foreign_scheme_is_refused() {
        assert!(matches!(DatabaseUrl::new("mysql://h/d").options(), Err(DatabaseError::BadUrl { .. })));
        assert!(DatabaseUrl::new("postgres://u@h/d").options().is_ok());
    }
}
