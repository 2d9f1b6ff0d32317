//! Why migrations were refused or failed.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::db::error::{DatabaseError, is_broken};
use crate::kernel::diagnose::{Diagnose, FailureKind};

/// Why a migration did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A file is not a valid migration.
    #[error("{file}:{line}: {problem}")]
    Parse {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The rule that the file breaks.
        problem: ParseProblem,
    },
    /// The folder or a file in it could not be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The folder or the file.
        path: PathBuf,
        /// The failure.
        source: std::io::Error,
    },
    /// Two files have the same number.
    #[error("{first} and {second} have the same number")]
    DuplicateNumber {
        /// One file.
        first: String,
        /// The other file.
        second: String,
    },
    /// A number is left out.
    #[error(
        "{file} follows number {previous:04}: numbers must not leave gaps, because the applied migrations \
         are always the first ones of the list"
    )]
    Gap {
        /// The file behind the gap.
        file: String,
        /// The number before the gap.
        previous: u32,
    },
    /// A file was changed after it was applied.
    #[error("{file} was changed after it had been applied\n  applied: {applied}\n  file:    {current}")]
    Edited {
        /// The file.
        file: String,
        /// The checksum in the database.
        applied: String,
        /// The checksum of the file.
        current: String,
    },
    /// The database is ahead of this binary, by a migration after which older binaries cannot run.
    #[error(
        "the database has migration {number:04}_{name} of `{set}`, which this binary does not know and which \
         is marked @breaking: binaries from before it cannot run on the schema any more"
    )]
    Breaking {
        /// The set.
        set: String,
        /// The migration's number.
        number: u32,
        /// The migration's name.
        name: String,
    },
    /// Migrations are to be undone, and the newest of them is unknown to this binary.
    #[error(
        "the last migration of `{set}` is {number:04}_{name}, which this binary does not know and so cannot \
         undo; nothing was undone"
    )]
    NotOurs {
        /// The set.
        set: String,
        /// The migration's number.
        number: u32,
        /// The migration's name.
        name: String,
    },
    /// A migration is applied and one before it is not.
    #[error("`{set}` has {number:04} applied, but not {missing:04} before it")]
    OutOfOrder {
        /// The set.
        set: String,
        /// The applied number.
        number: u32,
        /// The number that is missing.
        missing: u32,
    },
    /// The set has no migration of that number.
    #[error("`{set}` has no migration {number:04}; it has 0001 to {last:04}")]
    NoSuchTarget {
        /// The set that was named.
        set: String,
        /// The number that was named.
        number: u32,
        /// The set's last number.
        last: u32,
    },
    /// There is no set of that name.
    #[error("there is no migration set `{set}`; the sets are {known}")]
    NoSuchSet {
        /// The name.
        set: String,
        /// The names of the sets that exist.
        known: String,
    },
    /// A migration to undo has no `-- @down` section.
    #[error("{file} is marked irreversible; nothing was undone")]
    Irreversible {
        /// The file.
        file: String,
    },
    /// A statement of a migration failed.
    #[error("{file}:{line}: {message}{}{}", indented(.detail), if *.transactional {
        "\n  the migration was rolled back as a whole"
    } else {
        "\n  the file is marked @no-transaction: its statements before this line stay applied, and it runs \
         again as a whole"
    })]
    Statement {
        /// The file.
        file: String,
        /// The line of the statement, or of the place in it that the server points at.
        line: usize,
        /// The server's message, which is the text of `source` too.
        message: String,
        /// The server's detail and hint.
        detail: Option<String>,
        /// True when the whole migration was rolled back.
        transactional: bool,
        /// The failure.
        source: Box<sqlx::Error>,
    },
    /// A concurrent index build failed and left its index behind.
    #[error("{file} left an invalid index, which slows writes and serves no query: {index}")]
    InvalidIndex {
        /// The file.
        file: String,
        /// The index, with its schema.
        index: String,
    },
    /// The connection, the lock or the table `forge_migrations` failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl MigrateError {
    /// True when the connection broke or none could be opened: nothing is known against the migration.
    pub(in crate::db) fn is_outage(&self) -> bool {
        match self {
            Self::Statement { source, .. } => is_broken(source),
            Self::Database(DatabaseError::Statement { source, .. }) => is_broken(source),
            Self::Database(DatabaseError::Unreachable { .. }) => true,
            _ => false,
        }
    }

    /// True when a statement did not get a lock of a table: it may, the next time.
    pub(super) fn is_lock_conflict(&self) -> bool {
        let Self::Statement { source, .. } = self else { return false };
        let code = source.as_database_error().and_then(|error| error.code());
        // lock_not_available, deadlock_detected.
        matches!(code.as_deref(), Some("55P03" | "40P01"))
    }
}

impl Diagnose for MigrateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Database(error) => error.code(),
            Self::Parse { .. } | Self::DuplicateNumber { .. } | Self::Gap { .. } => "migration-file",
            Self::Edited { .. } | Self::Breaking { .. } | Self::NotOurs { .. } | Self::OutOfOrder { .. } => {
                "migrations-drift"
            }
            Self::NoSuchTarget { .. } | Self::NoSuchSet { .. } => "no-such-migration",
            Self::Read { .. }
            | Self::Irreversible { .. }
            | Self::Statement { .. }
            | Self::InvalidIndex { .. } => "migration-failed",
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Database(error) => error.kind(),
            Self::Edited { .. } | Self::Breaking { .. } | Self::NotOurs { .. } | Self::OutOfOrder { .. } => {
                FailureKind::Drift
            }
            Self::NoSuchTarget { .. } | Self::NoSuchSet { .. } => FailureKind::NotFound,
            Self::Parse { .. }
            | Self::DuplicateNumber { .. }
            | Self::Gap { .. }
            | Self::Read { .. }
            | Self::Irreversible { .. }
            | Self::Statement { .. }
            | Self::InvalidIndex { .. } => FailureKind::Failed,
        }
    }

    fn help(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Database(error) => error.help(),
            Self::DuplicateNumber { .. } => Some("rename the later one to the next free number".into()),
            Self::Edited { .. } => Some("restore the file, and put the change into a new migration".into()),
            Self::Breaking { .. } => Some(
                "start the version that brought the migration, or undo the migration with that version's \
                 `migrate down`"
                    .into(),
            ),
            Self::NotOurs { .. } => {
                Some("run `migrate down` of the version that brought the migration".into())
            }
            Self::OutOfOrder { .. } => {
                Some("compare `migrate status` with the files of the branch that applied it".into())
            }
            Self::InvalidIndex { index, .. } => {
                Some(format!("DROP INDEX CONCURRENTLY {index};  then migrate again").into())
            }
            Self::Statement { .. } if self.is_lock_conflict() => Some(
                "end the transactions that hold the table: SELECT pid, state, query FROM pg_stat_activity \
                 WHERE xact_start < now() - interval '1 minute'"
                    .into(),
            ),
            Self::Parse { .. }
            | Self::Read { .. }
            | Self::Gap { .. }
            | Self::NoSuchTarget { .. }
            | Self::NoSuchSet { .. }
            | Self::Irreversible { .. }
            | Self::Statement { .. } => None,
        }
    }
}

fn indented(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!("\n  {detail}")).unwrap_or_default()
}

/// The rule that a migration file breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseProblem {
    /// The file's name is not `NNNN_verb_noun.sql`.
    #[error("the name must be NNNN_verb_noun.sql: four digits from 0001, then lower-case words joined by _")]
    Name,
    /// A section is missing.
    #[error("there is no line `-- @{0}`")]
    MissingSection(&'static str),
    /// A marker occurs twice.
    #[error("`-- @{0}` stands here a second time")]
    RepeatedMarker(String),
    /// A marker is not one of the known ones.
    #[error("`-- @{0}` is no marker; there are @up, @down, @irreversible, @no-transaction and @breaking")]
    UnknownMarker(String),
    /// A marker of the whole file follows after a section began.
    #[error("`-- @{0}` holds for the whole file and must stand before `-- @up`")]
    LateMarker(&'static str),
    /// A statement stands before the first section.
    #[error("SQL before `-- @up` would never run")]
    Stray,
    /// A section has no statement.
    #[error("the section `-- @{0}` holds no statement")]
    EmptySection(&'static str),
    /// The file has both `@irreversible` and `@down`.
    #[error("`-- @irreversible` and `-- @down` exclude each other")]
    Contradiction,
    /// The file begins or ends a transaction itself.
    #[error(
        "`{0}` would end or open a transaction, and each migration runs in one; without it: \
         `-- @no-transaction`"
    )]
    TransactionControl(String),
}
