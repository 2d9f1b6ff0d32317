//! How the rooms' typed errors look on the command line: code, exit code, help.

use forge_actors::app::catalog;
use forge_actors::db::embedded::error::EmbeddedError;
use forge_actors::db::error::Error as DatabaseError;
use forge_actors::db::migrate::error::MigrateError;
use forge_actors::gateway::server::Error as PortError;
use forge_actors::supervise::StartError;

use crate::cmd::report::{Exit, Report};
use crate::config::error::Error as ConfigError;

impl From<ConfigError> for Report {
    fn from(error: ConfigError) -> Self {
        let help = error.help();
        Self::new(Exit::Config, "config", error.to_string()).help(help)
    }
}

impl From<DatabaseError> for Report {
    fn from(error: DatabaseError) -> Self {
        Self::from(&error)
    }
}

impl From<&DatabaseError> for Report {
    fn from(error: &DatabaseError) -> Self {
        let (exit, code) = match error {
            DatabaseError::BadUrl { .. } => (Exit::Config, "database-url"),
            DatabaseError::BadHost { .. } => (Exit::Database, "database-host"),
            DatabaseError::Refused { .. } => (Exit::Database, "database-login"),
            DatabaseError::NoSuchDatabase { .. } => (Exit::Database, "database-missing"),
            DatabaseError::TooOld { .. } => (Exit::Database, "database-too-old"),
            DatabaseError::Away { .. } => (Exit::Database, "database-unreachable"),
            DatabaseError::LockTimeout { .. } => (Exit::Timeout, "lock-timeout"),
            DatabaseError::TransactionPooler { .. } => (Exit::Config, "transaction-pooler"),
            // The enum may grow: what is new is about the database too.
            _ => (Exit::Database, "database"),
        };
        Self::of_room(exit, code, error)
    }
}

impl From<EmbeddedError> for Report {
    fn from(error: EmbeddedError) -> Self {
        Self::from(&error)
    }
}

impl From<&EmbeddedError> for Report {
    fn from(error: &EmbeddedError) -> Self {
        let code = match error {
            EmbeddedError::NoBinaries { .. } => "no-postgres",
            EmbeddedError::OtherVersion { .. } => "postgres-version",
            _ => "embedded-database",
        };
        Self::of_room(Exit::Database, code, error)
    }
}

impl From<MigrateError> for Report {
    fn from(error: MigrateError) -> Self {
        Self::from(&error)
    }
}

impl From<&MigrateError> for Report {
    fn from(error: &MigrateError) -> Self {
        let (exit, code) = match error {
            MigrateError::Database(error) => return Self::from(error),
            MigrateError::Parse { .. } | MigrateError::DuplicateNumber { .. } | MigrateError::Gap { .. } => {
                (Exit::Failed, "migration-file")
            }
            MigrateError::Edited { .. } | MigrateError::Unknown { .. } | MigrateError::OutOfOrder { .. } => {
                (Exit::Drift, "migrations-drift")
            }
            MigrateError::NoSuchTarget { .. } | MigrateError::NoSuchSet { .. } => {
                (Exit::NotFound, "no-such-migration")
            }
            _ => (Exit::Failed, "migration-failed"),
        };
        Self::of_room(exit, code, error)
    }
}

impl From<PortError> for Report {
    fn from(error: PortError) -> Self {
        let code = match error {
            PortError::InUse { .. } => "port-in-use",
            PortError::NotPermitted { .. } => "port-not-permitted",
            PortError::NotLocal { .. } => "host-not-local",
            PortError::Io { .. } => "port",
        };
        Self::of_room(Exit::Failed, code, &error).help("choose another one with --port or --host")
    }
}

impl From<catalog::Error> for Report {
    fn from(error: catalog::Error) -> Self {
        let code = match error {
            catalog::Error::Empty => "no-handlers",
            catalog::Error::Duplicate { .. } => "duplicate-handler",
        };
        Self::of_room(Exit::Failed, code, &error)
    }
}

/// A child that did not start speaks for itself where its error is known; otherwise its path says who it was.
impl From<StartError> for Report {
    fn from(error: StartError) -> Self {
        let source = error.source.as_ref();
        if let Some(error) = source.downcast_ref::<DatabaseError>() {
            return error.into();
        }
        if let Some(error) = source.downcast_ref::<EmbeddedError>() {
            return error.into();
        }
        if let Some(error) = source.downcast_ref::<MigrateError>() {
            return error.into();
        }
        Self::new(Exit::Failed, "start", error.to_string())
            .cause(source)
            .help("the log above may say more; -v writes a longer one")
    }
}
