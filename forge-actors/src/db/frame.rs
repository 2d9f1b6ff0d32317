//! A transaction's session and the frames that take turns on it.
//!
//! A frame is the transaction itself (depth 0) or a nested call inside of it (depth n, savepoint `forge_n`).
//! Each frame has a gate: a statement holds its frame's gate while it runs, a nested frame holds its parent's
//! gate while it lives. So two nested calls joined with `join!` run one after the other, and savepoints never
//! interleave.
//!
//! ```text
//!   open ──release──▶ closed      effects stay with the parent
//!     ├──rollback──▶ closed       effects are gone
//!     └──dropped───▶ abandoned    rolled back before the next statement of an outer frame
//! ```
//!
//! Failures: after a statement failed, Postgres refuses everything until the frame is rolled back
//! (`aborted`); closing such a frame otherwise is refused here, since Postgres answers `COMMIT` with a silent
//! rollback. A statement whose future was dropped leaves the session busy: the transaction can then only be
//! rolled back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

use super::error::is_broken;
use super::guard::Effect;
use super::pool::Lease;
use super::session::{Activity, BackendPid, Session};
use super::statement::Statement;

/// No nested frame was abandoned.
const NONE: u32 = u32::MAX;

/// One level of a transaction.
#[derive(Debug)]
pub(super) struct Frame {
    core: Arc<Core>,
    parent: Option<Arc<Frame>>,
    depth: u32,
    gate: Arc<Mutex<()>>,
    closed: AtomicBool,
}

/// What all frames of a transaction share.
#[derive(Debug)]
struct Core {
    pid: BackendPid,
    /// The whole transaction is read-only, so that a frame in it need not say so.
    read_only: bool,
    /// Never contended: the gates already let one statement through at a time. Empty once the transaction
    /// ended.
    slot: Mutex<Option<Slot>>,
    /// The outermost frame depth that was dropped without being closed.
    abandoned: AtomicU32,
}

#[derive(Debug)]
pub(super) struct Slot {
    lease: Lease,
    /// A statement failed, or was refused, in the innermost open frame.
    aborted: bool,
}

impl Frame {
    /// The root frame of a transaction that `lease` has begun.
    pub(super) fn root(mut lease: Lease, read_only: bool) -> Arc<Self> {
        let pid = lease.session().pid();
        let core = Core {
            pid,
            read_only,
            slot: Mutex::new(Some(Slot { lease, aborted: false })),
            abandoned: AtomicU32::new(NONE),
        };
        Arc::new(Self {
            core: Arc::new(core),
            parent: None,
            depth: 0,
            gate: Arc::default(),
            closed: AtomicBool::new(false),
        })
    }

    pub(super) fn pid(&self) -> BackendPid {
        self.core.pid
    }

    /// True when Postgres refuses every write of the transaction.
    pub(super) fn is_read_only(&self) -> bool {
        self.core.read_only
    }

    /// Waits for this frame's turn and lends the session.
    pub(super) async fn turn(&self) -> sqlx::Result<Turn<'_>> {
        let gate = Arc::clone(&self.gate).lock_owned().await;
        let slot = self.core.slot.lock().await;
        let mut turn = Turn { frame: self, slot, _gate: gate };
        turn.ready().await?;
        Ok(turn)
    }

    /// Opens a nested frame; this one waits until it is closed.
    pub(super) async fn nest(
        self: &Arc<Self>,
        read_only: bool,
    ) -> sqlx::Result<(Arc<Self>, OwnedMutexGuard<()>)> {
        let mut turn = self.turn().await?;
        // Postgres refuses this after its own errors; a statement that was refused before it was sent must
        // count the same.
        if turn.slot()?.aborted {
            return Err(failed_before());
        }
        let depth = self.depth + 1;
        // The second statement is what makes Postgres itself refuse writes of a query that a mutation calls.
        let sql = if read_only && !self.core.read_only {
            format!("SAVEPOINT forge_{depth}; SET LOCAL transaction_read_only = on")
        } else {
            format!("SAVEPOINT forge_{depth}")
        };
        let gate = turn.into_gate_after(sql).await?;
        let (core, parent) = (Arc::clone(&self.core), Some(Arc::clone(self)));
        Ok((
            Arc::new(Self { core, parent, depth, gate: Arc::default(), closed: AtomicBool::new(false) }),
            gate,
        ))
    }

    /// Opens the frame of the first run (see [`runs`](super::runs)) by `sql`, which ends with a savepoint.
    pub(super) async fn first_run(
        self: &Arc<Self>,
        sql: String,
    ) -> sqlx::Result<(Arc<Self>, OwnedMutexGuard<()>, Vec<PgRow>)> {
        let mut turn = self.turn().await?;
        let rows = turn.session()?.query(AssertSqlSafe(sql), Activity::Bound).await;
        turn.settle(&rows)?;
        let gate = turn.into_gate();
        Ok((self.run_frame(Arc::clone(self)), gate, rows?))
    }

    /// Ends the run that this frame was made for and opens the next one's frame on the same savepoint.
    /// `reads` is asked before everything is undone, or after it when the run had failed. A statement whose
    /// future was dropped is left to the caller.
    pub(super) async fn next_run(&self, reads: &str) -> sqlx::Result<RunEnd> {
        let _gate = self.gate.lock().await;
        // Whatever of the run is still about sends nothing any more.
        self.close();
        let mut slot = self.core.slot.lock().await;
        let slot = slot.as_mut().ok_or_else(ended)?;
        match slot.lease.activity() {
            Activity::Bound => {}
            Activity::Busy => return Err(cut_off()),
            Activity::Broken => return Err(broken()),
            Activity::Idle => return Err(ended()),
        }
        let session = slot.lease.session();
        let (mut failed, back) = (slot.aborted, format!("ROLLBACK TO SAVEPOINT forge_{}", self.depth));
        if !failed {
            let whole = session.query(AssertSqlSafe(format!("{reads}; {back}")), Activity::Bound).await;
            // A statement whose failure nobody saw, since its future was dropped, leaves a failed transaction
            // too.
            failed = matches!(&whole, Err(error) if !is_broken(error));
            if !failed {
                return Ok(self.run_ended(slot, whole?, false));
            }
        }
        let rows = session.query(AssertSqlSafe(format!("{back}; {reads}")), Activity::Bound).await?;
        Ok(self.run_ended(slot, rows, failed))
    }

    fn run_ended(&self, slot: &mut Slot, rows: Vec<PgRow>, failed: bool) -> RunEnd {
        slot.aborted = false;
        self.core.abandoned.store(NONE, Ordering::Release);
        let stale = slot.lease.session().stale_generation().is_some();
        let root = Arc::clone(self.parent.as_ref().expect("a run's frame lies in that of its transaction"));
        RunEnd { next: self.run_frame(root), rows, failed, stale }
    }

    fn run_frame(&self, root: Arc<Self>) -> Arc<Self> {
        let (core, depth) = (Arc::clone(&self.core), root.depth + 1);
        Arc::new(Self {
            core,
            parent: Some(root),
            depth,
            gate: Arc::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Waits until a cancelled statement has ended, and notes that the frame failed with it.
    pub(super) async fn drain(&self) -> sqlx::Result<()> {
        let _gate = self.gate.lock().await;
        let mut slot = self.core.slot.lock().await;
        let slot = slot.as_mut().ok_or_else(ended)?;
        slot.aborted = true;
        slot.lease.session().drain().await
    }

    /// True while a statement runs, or after its future was dropped.
    pub(super) fn is_busy(&self) -> bool {
        let slot = self.core.slot.try_lock();
        slot.is_ok_and(|slot| slot.as_ref().is_some_and(|slot| slot.lease.activity() == Activity::Busy))
    }

    /// Keeps what the nested frame did.
    pub(super) async fn release(&self) -> sqlx::Result<()> {
        let mut turn = self.turn().await?;
        if turn.slot()?.aborted {
            turn.undo(self.depth).await?;
            self.close();
            return Err(ignored_failure());
        }
        turn.execute(format!("RELEASE SAVEPOINT forge_{}", self.depth)).await?;
        self.close();
        Ok(())
    }

    /// Undoes what the nested frame did; also restores the write mode of the parent, which a release alone
    /// might not.
    pub(super) async fn undo(&self) -> sqlx::Result<()> {
        let mut turn = self.turn().await?;
        turn.undo(self.depth).await?;
        self.close();
        Ok(())
    }

    /// The frame ended without a word: an outer frame undoes it before its next statement, unless it is
    /// undone with one around it.
    pub(super) fn abandon(&self) {
        if !self.is_closed() {
            self.close();
            self.core.abandoned.fetch_min(self.depth, Ordering::AcqRel);
        }
    }

    /// A frame ends with the frames around it.
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire) || self.parent.as_ref().is_some_and(|parent| parent.is_closed())
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Ends the transaction's hold on the session, once no statement runs.
    pub(super) async fn take(&self) -> Option<Taken> {
        let _gate = self.gate.lock().await;
        self.close();
        let Slot { lease, aborted } = self.core.slot.lock().await.take()?;
        let abandoned = Some(self.core.abandoned.load(Ordering::Acquire)).filter(|depth| *depth != NONE);
        Some(Taken { lease, aborted, abandoned })
    }

    /// Like [`take`](Self::take), whatever still runs: for ending a transaction by force.
    pub(super) fn take_now(&self) -> Option<Lease> {
        self.close();
        self.core.slot.try_lock().ok()?.take().map(|slot| slot.lease)
    }
}

/// How a run ended.
pub(super) struct RunEnd {
    /// The next run's frame.
    pub(super) next: Arc<Frame>,
    /// What was asked about it.
    pub(super) rows: Vec<PgRow>,
    /// Postgres had undone it, or its innermost part, before it was asked.
    pub(super) failed: bool,
    /// The session had prepared what no longer fits the schema.
    pub(super) stale: bool,
}

/// What is left when a transaction ends.
pub(super) struct Taken {
    pub(super) lease: Lease,
    /// A statement failed in the innermost frame, and the frame was not rolled back.
    pub(super) aborted: bool,
    /// The depth of a nested frame that nobody closed, and whose savepoint therefore still stands.
    pub(super) abandoned: Option<u32>,
}

/// A frame's turn on the session.
pub(super) struct Turn<'f> {
    frame: &'f Frame,
    slot: MutexGuard<'f, Option<Slot>>,
    _gate: OwnedMutexGuard<()>,
}

impl Turn<'_> {
    async fn ready(&mut self) -> sqlx::Result<()> {
        if self.frame.is_closed() {
            return Err(ended());
        }
        match self.slot()?.lease.activity() {
            Activity::Bound => {}
            Activity::Busy => return Err(cut_off()),
            Activity::Broken => return Err(broken()),
            Activity::Idle => return Err(ended()),
        }
        let abandoned = self.frame.core.abandoned.load(Ordering::Acquire);
        if abandoned != NONE && abandoned > self.frame.depth {
            self.undo(abandoned).await?;
            self.frame.core.abandoned.store(NONE, Ordering::Release);
        }
        Ok(())
    }

    fn slot(&mut self) -> sqlx::Result<&mut Slot> {
        self.slot.as_mut().ok_or_else(ended)
    }

    /// The session, marked busy by whoever uses it.
    pub(super) fn session(&mut self) -> sqlx::Result<&mut Session> {
        Ok(self.slot()?.lease.session())
    }

    /// What `statement` does to the session. One that must not be sent fails the frame: code that believes it
    /// rolled back must not commit.
    pub(super) fn judge(&mut self, statement: &Statement) -> sqlx::Result<Effect> {
        let effect = statement.effect(true);
        self.slot()?.aborted |= effect.is_err();
        effect
    }

    /// Notes how a statement ended.
    pub(super) fn settle<T>(&mut self, result: &sqlx::Result<T>) -> sqlx::Result<()> {
        let slot = self.slot()?;
        slot.lease.session().settle(result, Activity::Bound);
        slot.aborted |= matches!(result, Err(sqlx::Error::Database(_)));
        Ok(())
    }

    async fn execute(&mut self, sql: String) -> sqlx::Result<()> {
        let result = self.session()?.execute(AssertSqlSafe(sql), Activity::Bound).await;
        self.settle(&result)?;
        result
    }

    async fn undo(&mut self, depth: u32) -> sqlx::Result<()> {
        self.execute(format!("ROLLBACK TO SAVEPOINT forge_{depth}; RELEASE SAVEPOINT forge_{depth}")).await?;
        self.slot()?.aborted = false;
        Ok(())
    }

    async fn into_gate_after(mut self, sql: String) -> sqlx::Result<OwnedMutexGuard<()>> {
        self.execute(sql).await?;
        Ok(self.into_gate())
    }

    fn into_gate(self) -> OwnedMutexGuard<()> {
        self._gate
    }
}

fn ended() -> sqlx::Error {
    sqlx::Error::Protocol(
        "a statement was sent after its call had ended; the context of a call must not outlive it".into(),
    )
}

/// The client may try again, which an error of the protocol would not say.
fn broken() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the connection broke during an earlier statement of the call",
    ))
}

fn cut_off() -> sqlx::Error {
    sqlx::Error::Protocol("a statement was abandoned half-way (its future was dropped); the transaction can only be rolled back".into())
}

fn failed_before() -> sqlx::Error {
    sqlx::Error::Protocol("a statement failed before and its error was ignored; the call cannot go on".into())
}

/// A failed statement's error was not handed on.
pub(super) fn ignored_failure() -> sqlx::Error {
    sqlx::Error::Protocol(
        "a statement failed and its error was ignored; what the call did was rolled back".into(),
    )
}
