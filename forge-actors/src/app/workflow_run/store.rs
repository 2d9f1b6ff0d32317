//! What an active run asks of the workflow subsystem.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use crate::app::error::Result;
use crate::app::new_job::{DispatchOutcome, NewJob};
use crate::app::workflow_run::journal::{JournalEntry, StepKind, StepStatus};
use crate::app::workflow_run::new_run::{NewRun, StartOutcome};
use crate::db::handle::Db;
use crate::db::transaction::Transaction;
use crate::kernel::commit::Receipt;
use crate::kernel::ids::RunId;
use crate::kernel::time::Timestamp;

/// A row of the journal that is to be written.
#[derive(Debug, Clone)]
pub struct StepRow {
    /// Place in the code: `4`; `5.0.1` for the first step of the first branch of a group; `-4` for the
    /// compensation of step `4`.
    pub position: String,
    /// What it does.
    pub kind: StepKind,
    /// How far it is.
    pub status: StepStatus,
    /// Its name.
    pub name: String,
    /// The form of arguments and result.
    pub shape: u64,
    /// Attempts that were made.
    pub attempts: u32,
    /// The order in which steps have ended.
    pub number: Option<u32>,
    /// The arguments, as JSON.
    pub input: Option<String>,
    /// What it has returned, as JSON.
    pub output: Option<String>,
    /// The `JobFailure` of the last attempt, as JSON.
    pub error: Option<String>,
    /// How long ago it began.
    pub elapsed: Duration,
    /// How long it waits from now on.
    pub due_in: Option<Duration>,
    /// Until when it waits, by the clock of the database, in place of `due_in`.
    pub due_at: Option<Timestamp>,
    /// Name and key of the event that it waits for.
    pub event: Option<(String, String)>,
    /// The event that it has consumed.
    pub event_id: Option<i64>,
    /// The run or job that it waits for.
    pub awaits: Option<Uuid>,
}

impl StepRow {
    /// The row of a step that has completed at its first attempt; callers change what is different.
    pub fn new(position: &str, kind: StepKind, name: &str, shape: u64) -> Self {
        Self {
            position: position.to_owned(),
            kind,
            status: StepStatus::Completed,
            name: name.to_owned(),
            shape,
            attempts: 1,
            number: None,
            input: None,
            output: None,
            error: None,
            elapsed: Duration::ZERO,
            due_in: None,
            due_at: None,
            event: None,
            event_id: None,
            awaits: None,
        }
    }

    /// The row that closes a step which has begun and ends no more.
    pub fn abandoned(entry: &JournalEntry) -> Self {
        Self {
            status: StepStatus::Abandoned,
            attempts: entry.attempts,
            awaits: entry.awaits,
            ..Self::new(&entry.position, entry.kind, &entry.name, entry.shape)
        }
    }
}

/// What the database has said about a row that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// When the step ended.
    pub finished_at: Option<Timestamp>,
    /// Until when it waits.
    pub due_at: Option<Timestamp>,
}

/// An event that has come for a wait.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenEvent {
    /// Its row.
    pub id: i64,
    /// What it says, as JSON.
    pub payload: String,
}

/// What a run finds that waits for the end of another one.
#[derive(Debug, Clone)]
pub enum FoundRun {
    /// It has ended in this way.
    Ended(WaitedEnd),
    /// It has not ended. This is the run itself, or the newest of those that it has gone on as.
    Open(RunId),
}

/// How a run has ended that another one waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum WaitedEnd {
    /// Its function has returned this, as JSON.
    Completed(String),
    /// It has ended without success: a `JobFailure`, as JSON.
    Failed(String),
}

/// The connection to the database that an attempt at a step holds while it executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepConnection {
    /// One for mutations: the attempt is a transaction.
    Write,
    /// One for queries.
    Read,
    /// None of its own.
    None,
}

/// An attempt at a step may execute until this is dropped.
pub struct StepPermit {
    _permits: [Option<OwnedSemaphorePermit>; 5],
}

impl StepPermit {
    /// Holds these permits.
    pub fn of(permits: [Option<OwnedSemaphorePermit>; 5]) -> Self {
        Self { _permits: permits }
    }
}

/// What an active run asks of its node. A run that its node has lost gets no answers any more: its function
/// is dropped.
pub trait RunStore: Send + Sync + 'static {
    /// Writes a row of the journal. Rows of runs of this node that are written at the same time share a
    /// statement and a commit.
    ///
    /// # Errors
    /// When the database refuses this row.
    fn record(&self, row: StepRow) -> BoxFuture<'_, Result<Recorded>>;

    /// Writes a row of the journal on `db`, the transaction of the step's effect.
    ///
    /// # Errors
    /// `CONFLICT` when the node has lost the run: the transaction must be rolled back.
    fn record_in<'a>(&'a self, db: &'a Db, row: &'a StepRow) -> BoxFuture<'a, Result<Recorded>>;

    /// Writes a row of the journal together with the run that it starts. The row says what the start has
    /// done.
    ///
    /// # Errors
    /// When the database refuses one of them; `CONFLICT` when another run has the key.
    fn start_child(&self, row: StepRow, child: NewRun) -> BoxFuture<'_, Result<(Recorded, StartOutcome)>>;

    /// Writes a row of the journal together with the job that it dispatches. The row says what the dispatch
    /// has done.
    ///
    /// # Errors
    /// When the database refuses one of them.
    fn dispatch(&self, row: StepRow, job: NewJob) -> BoxFuture<'_, Result<(Recorded, DispatchOutcome)>>;

    /// Writes a row of the journal that waits for a job together with that job, which is not unique. The end
    /// of the job wakes the run.
    ///
    /// # Errors
    /// When the database refuses one of them.
    fn dispatch_awaited(&self, row: StepRow, job: NewJob) -> BoxFuture<'_, Result<Recorded>>;

    /// The row of the journal at a position, when the outcome of its transaction is unknown.
    fn reread<'a>(&'a self, position: &'a str) -> BoxFuture<'a, Result<Option<JournalEntry>>>;

    /// The oldest event, or signal to this run, that it has not consumed, and that is none of `except`.
    fn find_event<'a>(
        &'a self,
        event: &'a str,
        key: &'a str,
        except: &'a [i64],
    ) -> BoxFuture<'a, Result<Option<TakenEvent>>>;

    /// How another run has ended, or which one goes on as it.
    fn find_run_end(&self, run: RunId) -> BoxFuture<'_, Result<FoundRun>>;

    /// How a job has ended, if it has.
    fn find_job_end(&self, job: Uuid) -> BoxFuture<'_, Result<Option<WaitedEnd>>>;

    /// Writes what the run publishes, and its attributes.
    fn publish(&self, published: Option<String>, attributes: Option<String>) -> BoxFuture<'_, Result<()>>;

    /// Waits, in order, until an attempt at a step of this run may execute.
    fn permit(&self, connection: StepConnection) -> BoxFuture<'_, StepPermit>;

    /// Begins the transaction of a step.
    fn begin<'a>(&'a self, label: &'a str, limit: Duration) -> BoxFuture<'a, Result<Transaction>>;

    /// An attempt at a step, or at a compensation, has ended.
    fn attempted(&self, has_failed: bool);

    /// How far the clock of this run is ahead of the clock of the database: the time that a test has let
    /// pass.
    fn time_passed(&self) -> Duration;

    /// Wakes workers after the commit of a step.
    fn committed(&self, receipt: Receipt, queues: BTreeSet<Arc<str>>);
}

/// What an activation of a run begins with.
pub struct ActivationStart {
    /// The run.
    pub id: RunId,
    /// Wire name of its workflow.
    pub workflow: String,
    /// The version that it has.
    pub version: u32,
    /// When its first activation began, by the clock of the database.
    pub begun_at: Timestamp,
    /// The clock of the database when it was claimed.
    pub now: Timestamp,
    /// Its journal.
    pub entries: Vec<JournalEntry>,
    /// Completed steps are compensated: nothing else is executed.
    pub is_ending: bool,
    /// Nothing is executed or written: only whether the code fits the journal is of interest.
    pub is_check: bool,
    /// Its attributes, as JSON.
    pub attributes: Option<String>,
}
