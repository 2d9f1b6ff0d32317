//! What the statements about runs that this node holds take and return.

use std::time::Duration;

use crate::app::workflow_run::attempts::StepUnderWay;
use crate::app::workflow_run::store::StepRow;
use crate::kernel::ids::RunId;
use crate::kernel::time::Timestamp;

/// What a person has asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunRequest {
    /// To go on no further, until it is resumed.
    Pause,
    /// To take back what it has done, and end.
    Cancel,
}

impl RunRequest {
    pub(super) fn parse(label: Option<&str>) -> Option<Self> {
        match label {
            Some("pause") => Some(Self::Pause),
            Some("cancel") => Some(Self::Cancel),
            _ => None,
        }
    }

    /// What a divergence says besides, of a run of which this was asked.
    pub(super) const fn when_diverged(request: Option<Self>) -> &'static str {
        match request {
            Some(Self::Cancel) => {
                "; the run is to be cancelled: code that fits its journal compensates it when it is retried, \
                 or terminate it as it is"
            }
            Some(Self::Pause) | None => "",
        }
    }
}

/// How a run ends, or will end when its steps are compensated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndStatus {
    Completed,
    Failed,
    Cancelled,
}

impl EndStatus {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A version of a workflow of which runs may be claimed.
#[derive(Debug, Clone)]
pub(super) struct ClaimableVersion {
    pub(super) workflow: String,
    pub(super) version: i32,
    /// So many at most.
    pub(super) limit: usize,
}

/// A run that was claimed.
#[derive(Debug, Clone)]
pub(super) struct ClaimedRun {
    pub(super) id: RunId,
    pub(super) workflow: String,
    pub(super) version: u32,
    /// Counts the activations of the run.
    pub(super) claim: i32,
    /// `forge_workflow_runs.wakes` at the claim.
    pub(super) wakes: i32,
    pub(super) request: Option<RunRequest>,
    /// How it ends; its completed steps are being compensated.
    pub(super) ending: Option<EndStatus>,
    pub(super) input: String,
    pub(super) identity: Option<String>,
    pub(super) trace: Option<String>,
    pub(super) begun_at: Timestamp,
    pub(super) deadline_at: Option<Timestamp>,
    pub(super) attributes: Option<String>,
    /// The run for which it goes on.
    pub(super) continues: Option<RunId>,
    /// When it became due.
    pub(super) due_at: Timestamp,
    /// The clock of the database at the claim.
    pub(super) now: Timestamp,
}

/// What a poll has found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct FoundWork {
    /// Until the next run is due.
    pub(super) next_due: Option<Duration>,
    /// Until a lease of another process may be lost.
    pub(super) next_suspect: Option<Duration>,
    /// Events wait for the router.
    pub(super) has_events: bool,
}

/// A row of the journal of a run that this node holds.
#[derive(Debug, Clone)]
pub(super) struct HeldStep {
    pub(super) run: RunId,
    pub(super) claim: i32,
    pub(super) row: StepRow,
}

/// An attempt that executes at a step of a run that this node holds.
#[derive(Debug, Clone)]
pub(super) struct HeldAttempt {
    pub(super) run: RunId,
    pub(super) claim: i32,
    pub(super) step: StepUnderWay,
}

/// The size of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JournalSize {
    pub(super) steps: usize,
    pub(super) bytes: usize,
}

/// How a run leaves this node.
#[derive(Debug, Clone)]
pub(super) struct Leave {
    pub(super) run: RunId,
    pub(super) claim: i32,
    /// `waiting`, `ready`, `paused`, `diverged` or `compensation_failed`.
    pub(super) status: &'static str,
    pub(super) due_at: Option<Timestamp>,
    /// The count of wakes that this activation has seen; a larger one in the row makes the run due.
    pub(super) wakes: i32,
    pub(super) error: Option<String>,
    /// The size of its journal; `None` when the activation did not come so far as to know it.
    pub(super) size: Option<JournalSize>,
    /// The status fulfils the run's `request`, which is cleared.
    pub(super) answers_request: bool,
}

impl Leave {
    /// The run is to be claimed again.
    pub(super) fn ready(run: RunId, claim: i32, wakes: i32) -> Self {
        Self {
            run,
            claim,
            status: "ready",
            due_at: None,
            wakes,
            error: None,
            size: None,
            answers_request: false,
        }
    }
}

/// The children of a run that end with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct CancelledChildren {
    /// Some were not asked before to be cancelled.
    pub(super) asked: bool,
    /// Some have not ended yet.
    pub(super) is_open: bool,
}

/// What has become of a run that was to go on as a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GoneOn {
    /// It has gone on.
    AsNew,
    /// It is not held any more, or is to be cancelled.
    Not,
    /// Another transaction holds a lock that it needs, such as a start with its id: it may be tried again.
    Locked,
}

/// A run whose activation has ended before the run has left.
#[derive(Debug)]
pub(super) struct GivenBack {
    pub(super) run: ClaimedRun,
    /// The activation failed or panicked, for another reason than an outage.
    pub(super) is_crash: bool,
}

/// A run that was released from a lost lease, or given back.
#[derive(Debug)]
pub(super) struct ReleasedRun {
    pub(super) id: RunId,
    pub(super) workflow: String,
    /// Its activations that have ended so without progress.
    pub(super) crashes: u32,
    /// There were too many of them: a person decides.
    pub(super) is_paused: bool,
}

/// A run that ends.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) run: RunId,
    pub(super) claim: i32,
    pub(super) status: EndStatus,
    pub(super) output: Option<String>,
    pub(super) error: Option<String>,
    pub(super) steps: usize,
    pub(super) journal_bytes: usize,
    /// `ending` of the run's row as this node knows it; another value there refuses the end.
    pub(super) expected: Option<EndStatus>,
}

/// A run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// Another run waits for it: an event was written.
    pub(super) is_awaited: bool,
}

/// Something has come for a run that this node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) run: RunId,
    pub(super) claim: i32,
    pub(super) wakes: i32,
    pub(super) request: Option<RunRequest>,
}

/// What the router has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Routed {
    /// Events that were routed.
    pub(super) events: u64,
    /// Runs that are held by a node, and have got something.
    pub(super) held: Vec<RunId>,
    /// Runs that are due now.
    pub(super) ready: u64,
}
