//! The session of one transaction, and the frames that use it one after the other.
//!
//! A frame is the transaction itself (depth 0) or a nested call inside of it (depth n, savepoint `forge_n`).
//! Each frame has a statement lock: a statement holds the lock of its frame while it runs, and a nested frame
//! holds the lock of its parent while it lives. So two nested calls joined with `join!` run one after the
//! other, and savepoints never interleave.
//!
//! A frame's state is a `FrameState` (its diagram is there): released or rolled back, a frame is `Closed`;
//! dropped without either, it is `Abandoned`, and its parent rolls it back before its own next statement.
//!
//! Failures:
//! - After a statement failed, Postgres refuses everything until the frame is rolled back. Keeping a failed
//!   frame is refused here, because Postgres would answer the `COMMIT` with a silent rollback.
//! - A statement whose future was dropped leaves the session busy. The transaction can then only be rolled
//!   back.

use std::io;
use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

use super::error::{as_read_only_server, is_broken};
use super::frame_state::{FrameEvent, FrameState, FrameStateCell};
use super::guard::SessionEffect;
use super::pool::PooledSession;
use super::session::{Activity, BackendPid, Session};
use super::statement::Statement;

/// What a statement lock protects: the state of the frame that was nested last, if there was one.
type LastNested = Option<Arc<FrameStateCell>>;

/// One level of a transaction.
#[derive(Debug)]
pub(super) struct Frame {
    transaction: Arc<TransactionSession>,
    parent: Option<Arc<Frame>>,
    depth: u32,
    /// Postgres refuses every write of the frame: of a query, wherever it runs.
    read_only: bool,
    state: Arc<FrameStateCell>,
    statement_lock: Arc<Mutex<LastNested>>,
}

/// What all frames of a transaction share.
#[derive(Debug)]
struct TransactionSession {
    pid: BackendPid,
    /// Postgres refuses every write of the transaction, so a nested frame need not ask for it.
    read_only: bool,
    /// Empty once the transaction ended. The statement locks already admit one statement at a time, so this
    /// mutex is contended only by a statement of a frame that was dropped meanwhile.
    session: Mutex<Option<PooledSession>>,
}

/// The parent's statement lock, held by a nested frame: the parent's statements wait until it is dropped.
#[derive(Debug)]
pub(super) struct ParentLock {
    _statement_lock: OwnedMutexGuard<LastNested>,
}

impl Frame {
    /// The frame of depth 0, for a transaction that was begun on `session`.
    pub(super) fn root(mut session: PooledSession, read_only: bool) -> Arc<Self> {
        let pid = session.session().pid();
        let transaction = TransactionSession { pid, read_only, session: Mutex::new(Some(session)) };
        let state = Arc::new(FrameStateCell::new());
        let transaction = Arc::new(transaction);
        Arc::new(Self {
            transaction,
            parent: None,
            depth: 0,
            read_only,
            state,
            statement_lock: Arc::default(),
        })
    }

    fn nested_in(parent: &Arc<Self>, read_only: bool) -> Arc<Self> {
        Arc::new(Self {
            transaction: Arc::clone(&parent.transaction),
            parent: Some(Arc::clone(parent)),
            depth: parent.depth + 1,
            read_only: parent.read_only || read_only,
            state: Arc::new(FrameStateCell::new()),
            statement_lock: Arc::default(),
        })
    }

    pub(super) fn pid(&self) -> BackendPid {
        self.transaction.pid
    }

    /// True when Postgres refuses every write of the transaction.
    pub(super) fn is_read_only(&self) -> bool {
        self.transaction.read_only
    }

    /// Waits until no other statement or nested frame uses this frame, rolls back a nested frame that was
    /// abandoned, and hands out the session.
    ///
    /// # Errors
    /// When the frame has ended, or the session can only be rolled back.
    pub(super) async fn lock(&self) -> sqlx::Result<SessionGuard<'_>> {
        let statement_lock = Arc::clone(&self.statement_lock).lock_owned().await;
        let session = self.transaction.session.lock().await;
        let mut guard = SessionGuard { frame: self, session, statement_lock };
        guard.prepare().await?;
        Ok(guard)
    }

    /// Opens a nested frame. This frame's statements wait until the lock in the result is dropped.
    pub(super) async fn nest(self: &Arc<Self>, read_only: bool) -> sqlx::Result<(Arc<Self>, ParentLock)> {
        let mut guard = self.lock().await?;
        // Postgres refuses a savepoint after an error of its own. A statement that was refused before it was
        // sent counts the same, but Postgres does not know of it.
        if self.state.get() == FrameState::Failed {
            return Err(failed_before());
        }
        let nested = Self::nested_in(self, read_only);
        let depth = nested.depth;
        // With the second statement Postgres itself refuses writes of a query that a mutation calls.
        let sql = if read_only && !self.is_read_only() {
            format!("SAVEPOINT forge_{depth}; SET LOCAL transaction_read_only = on")
        } else {
            format!("SAVEPOINT forge_{depth}")
        };
        guard.execute(sql).await?;
        let parent_lock = guard.into_parent_lock(&nested);
        Ok((nested, parent_lock))
    }

    /// Opens the frame of the first run (see [`runs`](super::runs)) by `sql`, which ends with a savepoint.
    pub(super) async fn first_run(
        self: &Arc<Self>,
        sql: String,
    ) -> sqlx::Result<(Arc<Self>, ParentLock, Vec<PgRow>)> {
        let mut guard = self.lock().await?;
        let rows = guard.session()?.query(AssertSqlSafe(sql), Activity::Pinned).await;
        guard.finish_statement(&rows)?;
        let run = Self::nested_in(self, false);
        let parent_lock = guard.into_parent_lock(&run);
        Ok((run, parent_lock, rows?))
    }

    /// Ends the run that this frame was made for, and opens the next run's frame on the same savepoint.
    /// `reads` is sent before the run is rolled back, or after it when the run had failed.
    ///
    /// # Errors
    /// When a statement is still running whose future was dropped: the caller cancels it and drains the
    /// session first. Any other error means that the transaction is lost.
    pub(super) async fn next_run(&self, reads: &str) -> sqlx::Result<EndedRun> {
        let _statement_lock = self.statement_lock.lock().await;
        // From here on, handles that are left of the run send nothing any more.
        let mut failed = self.state.record(FrameEvent::Ended) == FrameState::Failed;
        let mut session = self.transaction.session.lock().await;
        let session = in_transaction(session.as_mut())?;
        let rollback = format!("ROLLBACK TO SAVEPOINT forge_{}", self.depth);
        if !failed {
            let batch = format!("{reads}; {rollback}");
            let rows = session.query(AssertSqlSafe(batch), Activity::Pinned).await;
            // The answer of a statement whose future was dropped was not read. When that statement
            // failed, this batch fails too, and is sent again in the order for failed runs.
            failed = matches!(&rows, Err(error) if !is_broken(error));
            if !failed {
                return Ok(self.ended_run(session, rows?, false));
            }
        }
        let rows = session.query(AssertSqlSafe(format!("{rollback}; {reads}")), Activity::Pinned).await?;
        Ok(self.ended_run(session, rows, failed))
    }

    fn ended_run(&self, session: &mut Session, rows: Vec<PgRow>, failed: bool) -> EndedRun {
        let root = self.parent.as_ref().expect("a run's frame is nested in the transaction's");
        let is_stale = session.stale_generation().is_some();
        let lock_timed_out = session.take_lock_timeout();
        EndedRun { next: Self::nested_in(root, false), rows, failed, is_stale, lock_timed_out }
    }

    /// Waits until a cancelled statement has ended, and records that the frame failed with it.
    pub(super) async fn drain(&self) -> sqlx::Result<()> {
        let _statement_lock = self.statement_lock.lock().await;
        let mut session = self.transaction.session.lock().await;
        let session = session.as_mut().ok_or_else(ended)?;
        self.state.record(FrameEvent::StatementFailed);
        session.session().drain().await
    }

    /// True while a statement runs, or after its future was dropped.
    pub(super) fn is_busy(&self) -> bool {
        let session = self.transaction.session.try_lock();
        session.is_ok_and(|session| session.as_ref().is_some_and(|it| it.activity() == Activity::Busy))
    }

    /// Keeps the effects of this nested frame.
    ///
    /// # Errors
    /// When a statement of the frame failed: its effects are rolled back.
    pub(super) async fn release(&self) -> sqlx::Result<()> {
        let mut guard = self.lock().await?;
        if self.state.get() == FrameState::Failed {
            guard.roll_back_to(self.depth).await?;
            self.close();
            return Err(ignored_failure());
        }
        guard.execute(format!("RELEASE SAVEPOINT forge_{}", self.depth)).await?;
        self.close();
        Ok(())
    }

    /// Rolls back the effects of this nested frame. The parent's write mode is restored with it, which a
    /// release would not guarantee.
    pub(super) async fn undo(&self) -> sqlx::Result<()> {
        self.lock().await?.roll_back_to(self.depth).await?;
        self.close();
        Ok(())
    }

    /// Records that the frame's owner dropped it. A frame that was closed before stays closed.
    pub(super) fn abandon(&self) {
        self.state.record(FrameEvent::Dropped);
    }

    pub(super) fn close(&self) {
        self.state.record(FrameEvent::Ended);
    }

    /// A frame ends with the frames around it.
    fn accepts_statements(&self) -> bool {
        self.state.get().accepts_statements()
            && self.parent.as_ref().is_none_or(|parent| parent.accepts_statements())
    }

    /// Takes the session out of the transaction, once no statement and no nested frame uses it. `None` when
    /// the transaction has ended before.
    pub(super) async fn take(&self) -> Option<ClosingSession> {
        let nested = self.statement_lock.lock().await;
        let before = self.state.record(FrameEvent::Ended);
        let session = self.transaction.session.lock().await.take()?;
        Some(ClosingSession {
            session,
            failed: before == FrameState::Failed,
            abandoned: is_abandoned(&nested).then_some(self.depth + 1),
        })
    }

    /// Takes the session out of the transaction without waiting. `None` when a statement is being sent by
    /// another task, or the transaction has ended before.
    pub(super) fn take_now(&self) -> Option<PooledSession> {
        self.close();
        self.transaction.session.try_lock().ok()?.take()
    }
}

/// How a run ended.
pub(super) struct EndedRun {
    /// The next run's frame.
    pub(super) next: Arc<Frame>,
    /// The answer to `reads`.
    pub(super) rows: Vec<PgRow>,
    /// Postgres had rolled the run back, or its innermost part, before `reads` was answered.
    pub(super) failed: bool,
    /// A prepared statement of the session no longer fits the schema.
    pub(super) is_stale: bool,
    /// A statement of the run waited for a lock for too long.
    pub(super) lock_timed_out: bool,
}

/// What is left of a transaction that ends.
pub(super) struct ClosingSession {
    pub(super) session: PooledSession,
    /// A statement of the transaction's own frame failed.
    pub(super) failed: bool,
    /// The depth of a nested frame that was abandoned, and whose savepoint therefore still stands.
    pub(super) abandoned: Option<u32>,
}

/// The session, while one statement of a frame uses it.
pub(super) struct SessionGuard<'f> {
    frame: &'f Frame,
    session: MutexGuard<'f, Option<PooledSession>>,
    statement_lock: OwnedMutexGuard<LastNested>,
}

impl SessionGuard<'_> {
    async fn prepare(&mut self) -> sqlx::Result<()> {
        if !self.frame.accepts_statements() {
            return Err(ended());
        }
        in_transaction(self.session.as_mut())?;
        if is_abandoned(&self.statement_lock) {
            self.roll_back_to(self.frame.depth + 1).await?;
            *self.statement_lock = None;
        }
        Ok(())
    }

    /// The session, for a caller that records its request in it.
    pub(super) fn session(&mut self) -> sqlx::Result<&mut Session> {
        Ok(self.session.as_mut().ok_or_else(ended)?.session())
    }

    /// What `statement` does to the session. A statement that is refused here fails the frame: code that
    /// believes that it rolled back must not commit.
    pub(super) fn check(&mut self, statement: &Statement) -> sqlx::Result<SessionEffect> {
        let effect = statement.effect(true);
        if effect.is_err() {
            self.frame.state.record(FrameEvent::StatementFailed);
        }
        effect
    }

    /// Names the cause of a refused write: the call, when it is a query; otherwise the server.
    pub(super) fn explain<T>(&self, result: sqlx::Result<T>) -> sqlx::Result<T> {
        if self.frame.read_only { result } else { as_read_only_server(result) }
    }

    /// Records how a statement ended, in the session and in the frame.
    pub(super) fn finish_statement<T>(&mut self, result: &sqlx::Result<T>) -> sqlx::Result<()> {
        self.session()?.finish_request(result, Activity::Pinned);
        if matches!(result, Err(sqlx::Error::Database(_))) {
            self.frame.state.record(FrameEvent::StatementFailed);
        }
        Ok(())
    }

    async fn execute(&mut self, sql: String) -> sqlx::Result<()> {
        let result = self.session()?.execute(AssertSqlSafe(sql), Activity::Pinned).await;
        self.finish_statement(&result)?;
        result
    }

    async fn roll_back_to(&mut self, depth: u32) -> sqlx::Result<()> {
        self.execute(format!("ROLLBACK TO SAVEPOINT forge_{depth}; RELEASE SAVEPOINT forge_{depth}")).await
    }

    fn into_parent_lock(mut self, nested: &Frame) -> ParentLock {
        *self.statement_lock = Some(Arc::clone(&nested.state));
        ParentLock { _statement_lock: self.statement_lock }
    }
}

fn is_abandoned(nested: &LastNested) -> bool {
    nested.as_ref().is_some_and(|state| state.get() == FrameState::Abandoned)
}

/// The session, when it rests inside the transaction; otherwise why no statement can be sent.
fn in_transaction(session: Option<&mut PooledSession>) -> sqlx::Result<&mut Session> {
    let session = session.ok_or_else(ended)?;
    match session.activity() {
        Activity::Pinned => Ok(session.session()),
        Activity::Busy => Err(cut_off()),
        Activity::Broken => Err(broken()),
        Activity::Idle => Err(ended()),
    }
}

fn ended() -> sqlx::Error {
    sqlx::Error::InvalidArgument(
        "a statement was sent after its call had ended; the context of a call must not outlive it".into(),
    )
}

/// An `Io` error, because the client may try again; the others here are bugs of the call.
fn broken() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the connection broke during an earlier statement of the call",
    ))
}

fn cut_off() -> sqlx::Error {
    sqlx::Error::InvalidArgument(
        "a statement was abandoned half-way (its future was dropped); the transaction can only be rolled back"
            .into(),
    )
}

fn failed_before() -> sqlx::Error {
    sqlx::Error::InvalidArgument(
        "a statement failed before and its error was ignored; the call cannot go on".into(),
    )
}

/// The error of a frame that was to be kept although one of its statements had failed.
pub(super) fn ignored_failure() -> sqlx::Error {
    sqlx::Error::InvalidArgument(
        "a statement failed and its error was ignored; what the call did was rolled back".into(),
    )
}
