//! A run on its way into its table.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::app::error::Result;
use crate::app::secret::Secret;
use crate::db::handle::Db;
use crate::kernel::ids::RunId;

/// What a start does when the application's id names a run already.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IdConflict {
    /// It finds that run, whether it has ended or not, while its history is kept. Where that one has ended, a
    /// start with a signal begins a new run, since an ended run receives nothing.
    #[default]
    Return,
    /// It finds that run while it has not ended, and starts a new one otherwise.
    ReturnRunning,
    /// It fails with `CONFLICT`.
    Fail,
    /// It cancels that run, if it has not ended, and starts a new one.
    Replace,
}

/// What becomes of a child when its parent is cancelled, fails or is terminated.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ParentPolicy {
    /// It is cancelled too.
    #[default]
    Cancel,
    /// It goes on.
    Abandon,
}

impl ParentPolicy {
    /// The label in Postgres.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Abandon => "abandon",
        }
    }
}

/// A run that is about to be inserted.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The id of the new run.
    pub id: RunId,
    /// Wire name of the workflow that it executes.
    pub workflow: String,
    /// The version of the workflow's function that it begins with.
    pub version: u32,
    /// The id that the application gave with `.id(..)`, as JSON: the key of the run.
    pub key: Option<String>,
    /// What the start does when another run of the workflow has that key.
    pub on_conflict: IdConflict,
    /// The arguments object, as JSON. Secret as a whole, because its parts are not known here.
    pub input: Secret<String>,
    /// Seconds from the start until the run is due for the first time.
    pub after_secs: f64,
    /// The time limit of the run, in seconds from its start; `None`: it may last for ever.
    pub timeout_secs: Option<f64>,
    /// Seconds for which the run and its journal are kept after its end; `None`: `[workflows] retention`.
    pub retain_secs: Option<f64>,
    /// The attributes by which operators find the run: a JSON object.
    pub attributes: Option<String>,
    /// The identity that starts the run may follow it with a handle.
    pub followed: bool,
    /// The workflow run that starts this one; `None` for a start elsewhere.
    pub parent: Option<NewRunParent>,
    /// What becomes of the new run when its parent ends without success.
    pub policy: ParentPolicy,
    /// A signal that is sent to the run with its start.
    pub signal: Option<NewSignal>,
    /// The run that ended with `continue_as_new` and goes on as this one.
    pub continues: Option<RunId>,
}

/// The run that starts another one.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NewRunParent {
    /// The id of the parent.
    pub id: RunId,
    /// The position of the step that starts the new run.
    pub position: String,
}

/// A signal that is sent with a start.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NewSignal {
    /// The name of the event.
    pub name: String,
    /// What it says, as JSON.
    pub payload: Secret<String>,
}

/// What a start has done.
#[forge_app_macros::data]
#[serde(rename_all = "snake_case", tag = "kind", content = "run")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// It has started this run.
    New(RunId),
    /// It has found this run with the same id of the application.
    Existing(RunId),
}

impl StartOutcome {
    /// The run.
    pub fn run(self) -> RunId {
        match self {
            Self::New(run) | Self::Existing(run) => run,
        }
    }
}

/// An event that is about to be inserted.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its name.
    pub name: String,
    /// Its key; the id of the run for a signal.
    pub key: String,
    /// The run that a signal is for.
    pub run: Option<RunId>,
    /// The idempotency key.
    pub once: Option<String>,
    /// What it says, as JSON.
    pub payload: Secret<String>,
}

/// Inserts runs and events. The workflow subsystem implements it, so that contexts need not import that
/// subsystem.
pub trait StartRun: Send + Sync + 'static {
    /// Inserts a run on `db`, the transaction of the starting call. `identity` is the JSON of the caller's
    /// identity, `trace` the `traceparent` of the call.
    fn insert<'a>(
        &'a self,
        db: &'a Db,
        run: &'a NewRun,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<StartOutcome>>;

    /// Inserts a run outside of the transactions of calls, and wakes the nodes that run workflows. Runs that
    /// are started at the same time share a statement and a commit. `None` for a run with an id of the
    /// application or a follower, and while the database is away: nothing was tried.
    ///
    /// # Errors
    /// `OUTCOME_UNKNOWN` when the connection broke before the answer came: the run may exist.
    fn insert_alone<'a>(
        &'a self,
        run: &'a NewRun,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<Option<StartOutcome>>>;

    /// Inserts an event on `db`, the transaction of the emitting call. False when one with the same
    /// idempotency key exists.
    fn emit<'a>(&'a self, db: &'a Db, event: &'a NewEvent) -> BoxFuture<'a, Result<bool>>;

    /// Asks a run to be cancelled, on `db`, the transaction of the asking call. False when there is no such
    /// run, or it is compensated or was asked already.
    fn cancel<'a>(&'a self, db: &'a Db, run: RunId) -> BoxFuture<'a, Result<bool>>;

    /// How long runs that have ended are kept, unless their workflow says otherwise.
    fn retention(&self) -> Duration;
}
