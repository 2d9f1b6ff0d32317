//! Why migrations were refused or failed.

use std::path::PathBuf;

use crate::db::error::Error as DatabaseError;

/// Why a migration did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A file cannot be read as a migration.
    #[error("{file}:{line}: {problem}")]
    Parse {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: ParseProblem,
    },
    /// The folder or a file in it could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Two files share a number.
    #[error(
        "{first} and {second} have the same number\n  help: rename the later one to the next free number"
    )]
    DuplicateNumber {
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// A number is left out.
    #[error(
        "{file} follows number {previous:04}: numbers must not leave gaps, since what was applied is always a beginning of the list"
    )]
    Gap {
        /// The file behind the gap.
        file: String,
        /// The number before the gap.
        previous: u32,
    },
    /// An applied file was changed.
    #[error(
        "{file} was changed after it had been applied\n  applied: {applied}\n  file:    {current}\n  help: restore the file, and put the change into a new migration"
    )]
    Edited {
        /// The file.
        file: String,
        /// Checksum in the database.
        applied: String,
        /// Checksum of the file.
        current: String,
    },
    /// The database is ahead of this binary.
    #[error(
        "the database has migration {number:04} ({name}) of `{set}`, which this binary does not know: it is older than the schema\n  help: start the newer version"
    )]
    Unknown {
        /// The set.
        set: String,
        /// The number.
        number: u32,
        /// Its name.
        name: String,
    },
    /// Rows are missing in the middle.
    #[error(
        "`{set}` has {number:04} applied, but not {missing:04} before it\n  help: compare `migrate status` with the files of the branch that applied it"
    )]
    OutOfOrder {
        /// The set.
        set: String,
        /// The applied number.
        number: u32,
        /// The one that is missing.
        missing: u32,
    },
    /// No such set or number.
    #[error("`{set}` has no migration {number:04}; it has 0001 to {last:04}")]
    NoSuchTarget {
        /// The set that was named.
        set: String,
        /// The number that was named.
        number: u32,
        /// Its last number.
        last: u32,
    },
    /// No set of that name.
    #[error("there is no migration set `{set}`; there is {known}")]
    NoSuchSet {
        /// The name.
        set: String,
        /// The names that exist.
        known: String,
    },
    /// A migration without a way back is in the way.
    #[error("{file} is marked irreversible; nothing was undone")]
    Irreversible {
        /// The file.
        file: String,
    },
    /// A statement failed.
    #[error("{file}:{line}: {message}{}{}", hint(.detail), if *.transactional {
        "\n  the migration was rolled back as a whole"
    } else {
        "\n  the file is marked @no-transaction: its statements before this line stay applied, and it runs again as a whole"
    })]
    Statement {
        /// The file.
        file: String,
        /// The line of the statement, or of the place in it that the server points at.
        line: usize,
        /// The server's words.
        message: String,
        /// The server's detail and hint.
        detail: Option<String>,
        /// True when nothing of the file stays.
        transactional: bool,
        /// The failure.
        source: Box<sqlx::Error>,
    },
    /// A concurrent index build failed and left its index behind.
    #[error(
        "{file} left an invalid index, which slows writes and serves no query: {index}\n  help: DROP INDEX CONCURRENTLY {index};  then migrate again"
    )]
    InvalidIndex {
        /// The file.
        file: String,
        /// The index, with its schema.
        index: String,
    },
    /// The connection, the lock or the bookkeeping failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

fn hint(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!("\n  {detail}")).unwrap_or_default()
}

/// What is wrong with a migration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseProblem {
    /// Not `NNNN_verb_noun.sql`.
    #[error("the name must be NNNN_verb_noun.sql: four digits from 0001, then lower-case words joined by _")]
    Name,
    /// A section is missing.
    #[error("there is no line `-- @{0}`")]
    MissingSection(&'static str),
    /// A marker occurs twice.
    #[error("`-- @{0}` stands here a second time")]
    RepeatedMarker(String),
    /// A marker that means nothing.
    #[error("`-- @{0}` is no marker; there are @up, @down, @irreversible and @no-transaction")]
    UnknownMarker(String),
    /// `@no-transaction` after a section began.
    #[error("`-- @no-transaction` speaks for the whole file and must stand before `-- @up`")]
    LateNoTransaction,
    /// SQL before the first section.
    #[error("SQL before `-- @up` would never run")]
    Stray,
    /// A section without statements.
    #[error("the section `-- @{0}` holds no statement")]
    EmptySection(&'static str),
    /// Both a way back and the statement that there is none.
    #[error("`-- @irreversible` and `-- @down` exclude each other")]
    Contradiction,
    /// The file controls its own transaction.
    #[error(
        "`{0}` would end or open a transaction, and each migration runs in one; without it: `-- @no-transaction`"
    )]
    TransactionControl(String),
}
