//! A transaction, owned by the task that began it.
//!
//! Beginning and committing are one round trip each. When a transaction is dropped without
//! [`commit`](Transaction::commit) or [`rollback`](Transaction::rollback), its session is discarded and
//! Postgres rolls back.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

use crate::kernel::commit::{Receipt, TableId, Xid};
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::remedy;

use super::error::is_broken;
use super::frame::{ClosingSession, Frame, ignored_failure};
use super::handle::Db;
use super::live_snapshot::{ExportedSnapshot, LiveSnapshot};
use super::pool::{Pool, PooledSession};
use super::session::{Activity, BackendPid};
use super::session_name::SessionNames;

/// Time for a forced rollback; after it the session is discarded instead.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads what the transaction wrote: its id, when it has one, and the tables that the triggers of `change`
/// noted in a setting of the transaction.
const RECEIPT: &str =
    "SELECT pg_current_xact_id_if_assigned()::text AS xid, current_setting('forge.changed', true) AS changed";

/// How strictly a transaction is isolated from concurrent ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    #[default]
    ReadCommitted,
    /// All statements see one snapshot.
    RepeatableRead,
    /// Transactions behave as if they ran one after the other. One that does not fit is refused with SQLSTATE
    /// 40001, and may be repeated.
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
    /// How strictly it is isolated from concurrent transactions.
    pub isolation: Isolation,
    /// Postgres refuses writes.
    pub read_only: bool,
    /// Longest time of one statement.
    pub statement_timeout: Duration,
    /// Shown in `pg_stat_activity.application_name` while it runs, usually the handler's name.
    pub label: &'a str,
}

impl<'a> TransactionOptions<'a> {
    /// The options of a read-committed writing transaction.
    pub fn new(label: &'a str, statement_timeout: Duration) -> Self {
        Self { isolation: Isolation::default(), read_only: false, statement_timeout, label }
    }

    fn sql(&self, names: &SessionNames) -> String {
        // Without a mode the server's own default holds: an operator who makes the server read-only means
        // these transactions too.
        let mode = if self.read_only { " READ ONLY" } else { "" };
        // Postgres reads 0 as "no limit".
        let timeout = self.statement_timeout.as_millis().clamp(1, i32::MAX as u128);
        let mut sql = format!(
            "BEGIN ISOLATION LEVEL {}{mode}; SET LOCAL statement_timeout = {timeout}",
            self.isolation.sql()
        );
        write!(sql, "; SET LOCAL application_name = {}", quoted(&names.name(self.label)))
            .expect("writing to a String");
        sql
    }
}

/// A running transaction.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction {
    root: Arc<Frame>,
    /// The pool that its statements are cancelled through.
    control: Pool,
    /// Time for the answer to COMMIT.
    commit_timeout: Duration,
    /// The tables that it locked before its snapshot.
    locked: Vec<u32>,
}

impl Transaction {
    /// Begins a transaction on a session of `pool`; see
    /// [`Database::begin`](super::database::Database::begin).
    pub(super) async fn begin(
        pool: &Pool,
        control: &Pool,
        commit_timeout: Duration,
        options: TransactionOptions<'_>,
    ) -> Result<Self, Fault> {
        let root = begin_frame(pool, options.sql(pool.session_names()), options.read_only).await?;
        Ok(Self { root, control: control.clone(), commit_timeout, locked: Vec::new() })
    }

    /// Begins a snapshot of live queries on a session of `pool`.
    pub(super) async fn begin_live(
        pool: &Pool,
        control: &Pool,
        commit_timeout: Duration,
        snapshot: LiveSnapshot<'_>,
    ) -> Result<Self, Fault> {
        let options = TransactionOptions {
            isolation: Isolation::RepeatableRead,
            read_only: true,
            statement_timeout: snapshot.statement_timeout,
            label: "reactor",
        };
        let sql = format!("{}; {}", options.sql(pool.session_names()), snapshot.sql());
        let root = begin_frame(pool, sql, true).await?;
        Ok(Self { root, control: control.clone(), commit_timeout, locked: snapshot.locked_tables() })
    }

    /// Exports the snapshot, which other transactions can begin with until this one ends. Called before the
    /// transaction is divided into runs: Postgres exports nothing from inside of a savepoint.
    ///
    /// # Errors
    /// When the transaction has failed or ended, or the database does not answer.
    pub async fn export_snapshot(&self) -> Result<ExportedSnapshot, Fault> {
        let name: String = sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(&self.db()).await?;
        ExportedSnapshot::new(name)
            .ok_or_else(|| Fault::internal("Postgres gave an exported snapshot a name of unknown form"))
    }

    /// The tables that the transaction locked before its snapshot.
    pub(super) fn locked_tables(&self) -> &[u32] {
        &self.locked
    }

    /// The handle for the transaction's statements.
    pub fn db(&self) -> Db {
        Db::framed(Arc::clone(&self.root))
    }

    /// The server process that runs it.
    pub fn pid(&self) -> BackendPid {
        self.root.pid()
    }

    pub(super) fn root(&self) -> &Arc<Frame> {
        &self.root
    }

    /// Cancels the statement that runs, if one runs.
    pub(super) async fn cancel_statement(&self) -> sqlx::Result<()> {
        cancel_backend(&self.control, self.pid()).await
    }

    /// Commits. `Ok` means durable. The receipt names what the transaction wrote; it comes with the commit's
    /// own round trip.
    ///
    /// # Errors
    /// A fault with [`Code::OutcomeUnknown`] means that the answer never came; every other fault means that
    /// nothing was committed.
    pub async fn commit(self) -> Result<Receipt, Fault> {
        let limit = self.commit_timeout;
        let Ok(closing) = tokio::time::timeout(limit, self.root.take()).await else {
            return Err(Fault::internal(
                "a statement or a nested call of the transaction was still running at its end; \
                 nothing was committed",
            ));
        };
        let ClosingSession { session: mut pooled, failed, abandoned } =
            closing.ok_or_else(|| Fault::internal("the transaction had ended before its commit"))?;
        match pooled.activity() {
            Activity::Pinned => {}
            Activity::Broken => return Err(broken().into()),
            Activity::Busy | Activity::Idle => {
                return Err(Fault::internal("a statement was abandoned half-way; nothing was committed"));
            }
        }
        if failed {
            roll_back(&mut pooled).await;
            return Err(ignored_failure().into());
        }
        // Postgres answers COMMIT outside of a transaction with a warning, and in a failed transaction with a
        // rollback: both appear to be successes. A savepoint fails in both cases, and with it the batch, so a
        // success proves that an intact transaction was committed. That transaction is the one begun here,
        // because only a top-level statement can end it, and `guard` refuses those. The savepoint needs no
        // round trip of its own, and uses up no transaction id.
        let sql = match abandoned {
            // The effects of an abandoned nested frame must not be committed with the rest. Outside of a
            // transaction this ROLLBACK TO fails as a new savepoint would; in one that failed inside of the
            // nested frame it repairs the transaction. A failure of the outer frame was refused above.
            Some(depth) => format!("ROLLBACK TO SAVEPOINT forge_{depth}; {RECEIPT}; COMMIT"),
            None => format!("SAVEPOINT forge_end; {RECEIPT}; COMMIT"),
        };
        match tokio::time::timeout(limit, pooled.session().query(AssertSqlSafe(sql), Activity::Idle)).await {
            Ok(Ok(rows)) => Ok(receipt(&rows)),
            Ok(Err(error)) if is_broken(&error) => Err(outcome_unknown().because(error)),
            Ok(Err(error)) => {
                roll_back(&mut pooled).await;
                Err(error.into())
            }
            Err(_) => Err(outcome_unknown().because("no answer to COMMIT within database.commit_timeout")),
        }
    }

    /// Rolls back, once a statement that still runs has ended. [`abort`](Self::abort) cancels the statement
    /// first.
    pub async fn rollback(self) {
        if let Some(ClosingSession { session: mut pooled, .. }) = self.root.take().await
            && pooled.activity() == Activity::Pinned
        {
            roll_back(&mut pooled).await;
        }
    }

    /// Cancels the statement that runs and rolls back; the session is discarded when that takes longer than a
    /// second.
    ///
    /// For timeouts and cancelled calls, after the future that used [`db`](Self::db) was dropped.
    pub async fn abort(self) {
        let Some(mut pooled) = self.root.take_now() else {
            // Another task still waits for the answer to a statement. The cancelled statement fails there,
            // and the session is discarded when that task drops it.
            if let Err(error) = self.cancel_statement().await {
                let error = error_chain(&error);
                tracing::debug!(error, "cancelling the statement of an aborted transaction failed");
            }
            return;
        };
        let ending = async {
            if pooled.activity() == Activity::Busy {
                self.cancel_statement().await?;
                pooled.session().drain().await?;
            }
            pooled.session().execute("ROLLBACK", Activity::Idle).await
        };
        match tokio::time::timeout(ABORT_TIMEOUT, ending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = error_chain(&error);
                tracing::debug!(error, "rollback of an aborted transaction failed; its session is discarded")
            }
            Err(_) => {
                tracing::debug!("rollback of an aborted transaction timed out; its session is discarded")
            }
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // A `Db` that outlives the transaction must not keep its session from being discarded.
        drop(self.root.take_now());
    }
}

/// Runs `sql`, which begins with `BEGIN`, on a session of `pool`.
async fn begin_frame(pool: &Pool, sql: String, read_only: bool) -> Result<Arc<Frame>, Fault> {
    let mut pooled = pool.acquire().await?;
    let mut begun = pooled.session().execute(AssertSqlSafe(sql.as_str()), Activity::Pinned).await;
    // Nothing has happened yet, so a session whose connection died in the pool is replaced.
    if matches!(&begun, Err(error) if is_broken(error)) && pooled.was_pooled() {
        drop(pooled);
        pooled = pool.acquire_fresh().await?;
        begun = pooled.session().execute(AssertSqlSafe(sql), Activity::Pinned).await;
    }
    if let Err(error) = begun {
        // A statement after the BEGIN failed: the session is inside of a failed transaction.
        if !is_broken(&error) {
            pooled.session().take_lock_timeout();
            roll_back(&mut pooled).await;
        }
        return Err(error.into());
    }
    Ok(Frame::root(pooled, read_only))
}

/// Cancels the statement that the backend `pid` runs, if it runs one.
pub(super) async fn cancel_backend(control: &Pool, pid: BackendPid) -> sqlx::Result<()> {
    control.acquire().await?.run_for_backend(include_str!("sql/cancel_statement.sql"), pid).await
}

/// Rolls back on a session that runs no statement. A session whose rollback fails or takes too long stays
/// marked, and is discarded when it is dropped.
async fn roll_back(pooled: &mut PooledSession) {
    let rolled_back =
        tokio::time::timeout(ABORT_TIMEOUT, pooled.session().execute("ROLLBACK", Activity::Idle)).await;
    if !matches!(rolled_back, Ok(Ok(()))) {
        tracing::debug!("rollback failed or timed out; the session is discarded");
    }
}

/// Reads the answer to [`RECEIPT`]. The commit stands whatever the answer is, so an entry that is no oid is
/// left out, with a warning.
fn receipt(rows: &[PgRow]) -> Receipt {
    let text = |column: &str| rows.first()?.try_get::<Option<String>, _>(column).ok()?;
    let xid = text("xid").and_then(|xid| xid.parse().ok()).map(Xid);
    let changed = text("changed").unwrap_or_default();
    let tables = changed.split(',').filter(|oid| !oid.is_empty()).filter_map(|oid| {
        let parsed = oid.parse().ok().map(TableId);
        if parsed.is_none() {
            tracing::warn!(
                oid,
                "the setting forge.changed has an entry that is no table oid; only Forge may write it"
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

/// What is said of a commit that Postgres has not confirmed.
pub(crate) fn outcome_unknown() -> Fault {
    Fault::new(
        Code::OutcomeUnknown,
        "Postgres did not confirm the commit; the change may or may not have been committed",
    )
    .with_help(remedy::SAME_KEY)
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
        let sql = TransactionOptions::new("a'; DROP TABLE x; --\\", Duration::from_secs(5))
            .sql(&SessionNames::default());
        assert_eq!(
            sql,
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 5000; \
             SET LOCAL application_name = 'forge a''; DROP TABLE x; --_'"
        );
    }

    #[test]
    fn a_timeout_never_becomes_no_timeout() {
        let sql = TransactionOptions::new("x", Duration::ZERO).sql(&SessionNames::default());
        assert!(sql.contains("statement_timeout = 1;"), "{sql}");
    }
}
