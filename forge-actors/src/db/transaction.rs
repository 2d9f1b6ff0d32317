//! A transaction, owned by the task that runs a mutation.
//!
//! `begin` and `commit` are one round trip each. Dropped without either [`commit`](Transaction::commit) or
//! [`rollback`](Transaction::rollback), its session is discarded and Postgres rolls back.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

use crate::kernel::commit::{Receipt, TableId, Xid};
use crate::kernel::fault::{Code, Fault};

use super::database::Database;
use super::error::is_broken;
use super::frame::{Frame, Taken, ignored_failure};
use super::handle::Db;
use super::pool::{Lease, Pool};
use super::session::{Activity, BackendPid};

/// How long a forced rollback may take before the session is discarded instead.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);
/// `application_name` is cut by Postgres at 63 bytes.
const APPLICATION_NAME_BYTES_MAX: usize = 63;

/// What the transaction wrote: its id, when it has one, and the tables that the triggers of the change room
/// noted in a setting of the transaction.
const RECEIPT: &str =
    "SELECT pg_current_xact_id_if_assigned()::text AS xid, current_setting('forge.changed', true) AS changed";

/// How strictly concurrent transactions are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    #[default]
    ReadCommitted,
    /// All statements see one snapshot.
    RepeatableRead,
    /// As if transactions ran one after the other; a loser gets SQLSTATE 40001 and may be repeated.
    Serializable,
}

impl Isolation {
    fn sql(self) -> &'static str {
        match self {
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

/// How a transaction begins.
#[derive(Debug, Clone, Copy)]
pub struct TransactionOptions<'a> {
    /// How strictly it is kept apart from others.
    pub isolation: Isolation,
    /// Postgres refuses writes.
    pub read_only: bool,
    /// Longest time of one statement.
    pub statement_timeout: Duration,
    /// Shown in `pg_stat_activity.application_name` while it runs, usually the handler's name.
    pub label: &'a str,
}

impl<'a> TransactionOptions<'a> {
    /// A read-committed writing transaction.
    pub fn new(label: &'a str, statement_timeout: Duration) -> Self {
        Self { isolation: Isolation::default(), read_only: false, statement_timeout, label }
    }

    fn sql(&self) -> String {
        let mode = if self.read_only { "READ ONLY" } else { "READ WRITE" };
        // 0 would mean no limit at all.
        let timeout = self.statement_timeout.as_millis().clamp(1, i32::MAX as u128);
        let mut sql = format!(
            "BEGIN ISOLATION LEVEL {} {mode}; SET LOCAL statement_timeout = {timeout}",
            self.isolation.sql()
        );
        write!(sql, "; SET LOCAL application_name = {}", quoted(&application_name(self.label)))
            .expect("writing to a String");
        sql
    }
}

/// A running transaction.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction {
    root: Arc<Frame>,
    database: Database,
}

impl Transaction {
    /// Begins a transaction on a session of the write pool.
    pub async fn begin(database: &Database, options: TransactionOptions<'_>) -> Result<Self, Fault> {
        Self::begin_on(database, database.write_pool(), options).await
    }

    pub(super) async fn begin_on(
        database: &Database,
        pool: &Pool,
        options: TransactionOptions<'_>,
    ) -> Result<Self, Fault> {
        let mut lease = pool.acquire().await?;
        let sql = options.sql();
        let begun = lease.session().execute(AssertSqlSafe(sql.as_str()), Activity::Bound).await;
        match begun {
            Ok(()) => {}
            // Nothing happened yet, so a session that died in the pool is replaced.
            Err(error) if is_broken(&error) && lease.was_pooled() => {
                drop(lease);
                lease = pool.acquire_fresh().await?;
                lease.session().execute(AssertSqlSafe(sql), Activity::Bound).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self { root: Frame::root(lease, options.read_only), database: database.clone() })
    }

    /// Where its statements go.
    pub fn db(&self) -> Db {
        Db::framed(Arc::clone(&self.root))
    }

    /// The server process that runs it, for [`Database::cancel`].
    pub fn pid(&self) -> BackendPid {
        self.root.pid()
    }

    pub(super) fn root(&self) -> &Arc<Frame> {
        &self.root
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Commits. `Ok` means durable. A fault with [`Code::OutcomeUnknown`] means that the answer never came;
    /// every other fault means that nothing was committed. The receipt says what it wrote, at no round trip
    /// of its own.
    pub async fn commit(self) -> Result<Receipt, Fault> {
        let limit = self.database.config().commit_timeout;
        let Ok(taken) = tokio::time::timeout(limit, self.root.take()).await else {
            return Err(Fault::internal(
                "a statement or a nested call of the transaction was still running at its end; nothing was committed",
            ));
        };
        let Taken { mut lease, aborted, abandoned } =
            taken.ok_or_else(|| Fault::internal("the transaction had ended before its commit"))?;
        match lease.activity() {
            Activity::Bound => {}
            Activity::Broken => return Err(broken().into()),
            Activity::Busy | Activity::Idle => {
                return Err(Fault::internal("a statement was abandoned half-way; nothing was committed"));
            }
        }
        // What failed inside of an abandoned frame is undone with it.
        if aborted && abandoned.is_none() {
            end(&mut lease).await;
            return Err(ignored_failure().into());
        }
        // Postgres answers COMMIT outside of a transaction with a warning, and in a failed one with a
        // rollback: both look like successes. A savepoint fails in both, and with it the batch, so that a
        // success proves that an intact transaction was committed. It was the one begun here, since only a
        // top-level statement can end that, and `guard` lets none through. Same round trip, and no
        // transaction id is used up.
        let sql = match abandoned {
            // A nested frame that nobody closed must not be committed with the rest. This fails like a new
            // savepoint.
            Some(depth) => format!("ROLLBACK TO SAVEPOINT forge_{depth}; {RECEIPT}; COMMIT"),
            None => format!("SAVEPOINT forge_end; {RECEIPT}; COMMIT"),
        };
        match tokio::time::timeout(limit, lease.session().query(AssertSqlSafe(sql), Activity::Idle)).await {
            Ok(Ok(rows)) => Ok(receipt(&rows)),
            Ok(Err(error)) if is_broken(&error) => Err(outcome_unknown().because(error)),
            Ok(Err(error)) => {
                end(&mut lease).await;
                Err(error.into())
            }
            Err(_) => Err(outcome_unknown().because("no answer to COMMIT within database.commit_timeout")),
        }
    }

    /// Rolls back, once the statement that may still run has ended. See [`abort`](Self::abort) for ending it
    /// too.
    pub async fn rollback(self) {
        if let Some(Taken { mut lease, .. }) = self.root.take().await
            && lease.activity() == Activity::Bound
        {
            end(&mut lease).await;
        }
    }

    /// Ends it now: cancels the statement that runs, rolls back, and discards the session when that takes
    /// longer than a second.
    ///
    /// For timeouts and cancelled calls, after the future that used [`db`](Self::db) was dropped.
    pub async fn abort(self) {
        let Some(mut lease) = self.root.take_now() else {
            // Another task still waits for a statement. It gets an error now, and the session goes when it
            // lets go.
            if let Err(error) = self.database.cancel(self.pid()).await {
                tracing::debug!(%error, "a statement was not cancelled");
            }
            return;
        };
        let ending = async {
            if lease.activity() == Activity::Busy {
                self.database.cancel(self.pid()).await?;
                lease.session().drain().await?;
            }
            lease.session().execute("ROLLBACK", Activity::Idle).await
        };
        match tokio::time::timeout(ABORT_TIMEOUT, ending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "a transaction was not rolled back in order; its session is discarded")
            }
            Err(_) => tracing::debug!("rolling back took too long; the session is discarded"),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // Handles that outlive the transaction must not keep its session.
        drop(self.root.take_now());
    }
}

/// Rolls back a session at rest; one that does not obey within the limit stays marked and is discarded.
async fn end(lease: &mut Lease) {
    let rolled_back =
        tokio::time::timeout(ABORT_TIMEOUT, lease.session().execute("ROLLBACK", Activity::Idle)).await;
    if !matches!(rolled_back, Ok(Ok(()))) {
        tracing::debug!("a rollback was not answered; the session is discarded");
    }
}

/// Reads what [`RECEIPT`] answered. The commit stands whatever it says, so a text that makes no sense is left
/// out, and said.
fn receipt(rows: &[PgRow]) -> Receipt {
    let text = |column: &str| rows.first()?.try_get::<Option<String>, _>(column).ok()?;
    let xid = text("xid").and_then(|xid| xid.parse().ok()).map(Xid);
    let changed = text("changed").unwrap_or_default();
    let tables = changed.split(',').filter(|oid| !oid.is_empty()).filter_map(|oid| {
        let parsed = oid.parse().ok().map(TableId);
        if parsed.is_none() {
            tracing::warn!(
                oid,
                "the setting forge.changed holds something else than table oids; somebody else writes to it"
            );
        }
        parsed
    });
    Receipt { xid, tables: tables.collect() }
}

fn broken() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::BrokenPipe,
        "the connection broke during the transaction; nothing was committed",
    ))
}

fn outcome_unknown() -> Fault {
    Fault::new(
        Code::OutcomeUnknown,
        "the connection to the database broke while the commit was in flight; it may or may not have happened",
    )
}

/// `forge <label>`, printable ASCII only: Postgres would replace the rest by question marks.
fn application_name(label: &str) -> String {
    let label = label.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '_' });
    let mut name: String = "forge ".chars().chain(label).collect();
    name.truncate(APPLICATION_NAME_BYTES_MAX);
    name
}

/// A string literal that no content can end early, whatever `standard_conforming_strings` says.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "_").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_leave_its_literal() {
        let sql = TransactionOptions::new("a'; DROP TABLE x; --\\", Duration::from_secs(5)).sql();
        assert_eq!(
            sql,
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 5000; \
             SET LOCAL application_name = 'forge a''; DROP TABLE x; --_'"
        );
    }

    #[test]
    fn a_long_or_foreign_label_is_cut_to_what_postgres_keeps() {
        assert_eq!(application_name("größe\n"), "forge gr__e_");
        assert_eq!(application_name(&"x".repeat(100)).len(), APPLICATION_NAME_BYTES_MAX);
    }

    #[test]
    fn a_timeout_never_becomes_no_timeout() {
        assert!(TransactionOptions::new("x", Duration::ZERO).sql().contains("statement_timeout = 1;"));
    }
}
