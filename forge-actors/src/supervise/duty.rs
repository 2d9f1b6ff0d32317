//! Periodic duties: the trait, the schedule, the results.
//! [`ChildSpec::periodic`](super::ChildSpec::periodic) and [`ChildSpec::elected`](super::ChildSpec::elected)
//! make the child that runs a duty.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::address::{ActorCallError, Address};
use super::panic::shorten;
use super::periodic::PeriodicMessage;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::integer::Int53;
use crate::kernel::limits::CAUSE_BYTES_MAX;
use crate::kernel::time::{Timestamp, format_duration, fractional_millis, minutes, secs};

/// Work that is done again and again: an expiry, a sweep, a rescue, a survey.
///
/// ```
/// # use forge_actors::kernel::{fault::Fault, time::minutes};
/// # use forge_actors::supervise::{ChildSpec, Duty, RunReport, Schedule};
/// # async fn delete_old_keys() -> Result<u64, Fault> { Ok(0) }
/// struct ExpireKeys;
///
/// impl Duty for ExpireKeys {
///     type Term = ();
///     const KIND: &'static str = "expire_keys";
///
///     async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
///         Ok(RunReport::handled(delete_old_keys().await?))
///     }
/// }
///
/// let (child, handle) = ChildSpec::periodic("expire_keys", Schedule::every(minutes(10)), || ExpireKeys);
/// assert_eq!(handle.status().runs, 0);
/// # drop(child);
/// ```
pub trait Duty: Send + 'static {
    /// The leadership term that a run needs: `()` for a duty that every node runs.
    type Term: Clone + PartialEq + Send + Sync + 'static;
    /// What it is, for people; the actor's kind in the tree and the label of its metrics.
    const KIND: &'static str;

    /// Does the work once. State that is needed from run to run is kept in `self`; it is lost when the actor
    /// restarts. A run is dropped at an await when its time limit is over or its term has ended.
    ///
    /// # Errors
    /// Any fault. It is logged, and the duty runs again after a backoff.
    fn run(&mut self, term: Self::Term) -> impl Future<Output = Result<RunReport, Fault>> + Send;

    /// Does what must be done before the actor stops, within the stop deadline of the child. It is not called
    /// after a crash. Nor is it called when a run is still under way
    /// [`STOP_TIMEOUT`](super::STOP_TIMEOUT) after the actor was asked to stop: that run is dropped, and
    /// the duty with it.
    fn finish(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What a successful run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Rows, jobs or nodes that the run handled.
    pub handled: u64,
    /// Set when work is left: the next run comes after this pause instead of the interval.
    pub again_after: Option<Duration>,
}

impl RunReport {
    /// The run found nothing to do.
    pub const NOTHING: Self = Self { handled: 0, again_after: None };

    /// The run handled this many, and nothing is left to do.
    pub const fn handled(handled: u64) -> Self {
        Self { handled, again_after: None }
    }

    /// The run handled this many, and there is more: the next run comes after `pause`.
    pub const fn more(handled: u64, pause: Duration) -> Self {
        Self { handled, again_after: Some(pause) }
    }

    /// The run's statement handles at most `batch_max` and handled this many. After a full batch there may be
    /// more, so the next run comes after `pause`.
    pub const fn batch(handled: u64, batch_max: u32, pause: Duration) -> Self {
        if handled < batch_max as u64 { Self::handled(handled) } else { Self::more(handled, pause) }
    }
}

/// When a duty runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// From the end of a run to the start of the next.
    pub interval: Duration,
    /// Each interval is lengthened by a random part of this, so that nodes do not run in step.
    pub jitter: Duration,
    /// The first run comes at a random moment within this time, so that nodes that start together do not run
    /// together. `Duration::ZERO` runs at once. An elected duty also runs as soon as a term begins.
    pub first_within: Duration,
    /// A run that takes longer is cancelled and counts as failed.
    pub time_limit: Duration,
    /// Pause after a failed run.
    pub backoff: Backoff,
}

impl Schedule {
    /// Runs after each `interval`, the first time at a random moment within it. There is no jitter, the time
    /// limit is a minute, and the pause after a failed run grows from 1 s to 1 min.
    pub const fn every(interval: Duration) -> Self {
        Self {
            interval,
            jitter: Duration::ZERO,
            first_within: interval,
            time_limit: minutes(1),
            backoff: Backoff::exponential(secs(1), minutes(1)),
        }
    }

    /// The pause before the first run; `random` is uniform in `0.0..1.0`, as below.
    pub(super) fn first(&self, random: f64) -> Duration {
        self.first_within.mul_f64(random)
    }

    /// The pause after a run; `failures` counts the failed runs in a row.
    pub(super) fn pause(&self, ended: &Result<RunReport, RunError>, failures: u32, random: f64) -> Duration {
        match ended {
            Ok(RunReport { again_after: Some(pause), .. }) => *pause,
            Ok(RunReport { again_after: None, .. }) => self.interval + self.jitter.mul_f64(random),
            Err(_) => self.backoff.delay(failures.saturating_sub(1), random),
        }
    }
}

/// Why a run did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The duty failed.
    #[error("the run failed: {cause}")]
    Failed {
        /// The fault with its causes.
        cause: Arc<str>,
    },
    /// The run was cancelled at its time limit.
    #[error("the run was cancelled after {}, its time limit", format_duration(*.limit))]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The term ended during the run, which was cancelled.
    #[error("the run was cancelled: this node is no longer the leader")]
    TermEnded,
    /// The duty is elected and this node holds no term, so nothing was run.
    #[error("nothing was run: this node is not the leader")]
    NotLeader,
    /// The actor did not answer.
    #[error(transparent)]
    Call(#[from] ActorCallError),
}

/// The last results of a duty. They are kept over restarts of the actor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PeriodicStatus {
    /// One node of the cluster runs the duty, in its term as leader; false for a duty that every node runs.
    pub elected: bool,
    /// The node holds the term that the duty needs; always true for a duty that every node runs.
    pub leading: bool,
    /// Set while a run is under way: when it started.
    pub running_since: Option<Timestamp>,
    /// When the last ended run started.
    pub last_start: Option<Timestamp>,
    /// How long the last ended run took.
    pub last_duration: Option<Duration>,
    /// How the last ended run ended.
    pub last_result: Option<Result<RunReport, RunError>>,
    /// Runs that ended, with or without success.
    pub runs: u64,
    /// Failed runs since the last success.
    pub failures: u32,
    /// Runs that were cancelled at the time limit.
    pub timed_out: u64,
}

/// A periodic duty of one node, as it is shown outside of the node.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct DutyInfo {
    /// True when only the leader among the nodes runs the duty; false when every node does.
    pub elected: bool,
    /// True when this node runs the duty: it is the leader, or every node runs the duty.
    pub leading: bool,
    /// When the run that is under way started.
    pub running_since: Option<Timestamp>,
    /// The run of this node that ended last.
    pub last_run: Option<DutyRun>,
    /// Runs that ended, with or without success.
    pub runs: Int53,
    /// Failed runs since the last success.
    pub failures: u32,
    /// Runs that were cancelled at the time limit.
    pub timed_out: Int53,
}

/// A run of a duty that has ended.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct DutyRun {
    /// When it started, by the clock of the node.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// How it ended.
    pub outcome: DutyOutcome,
}

/// How a run of a duty ended.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
#[serde(tag = "is")]
pub enum DutyOutcome {
    /// The run succeeded.
    Ok {
        /// Rows, jobs or nodes that it handled.
        handled: Int53,
    },
    /// The duty failed.
    Failed {
        /// The fault with its causes.
        error: String,
    },
    /// The run was cancelled at its time limit.
    TimedOut {
        /// The limit in milliseconds.
        limit_ms: Int53,
    },
    /// The run was cancelled, or did not begin, because the node is not the leader.
    Cancelled,
}

impl DutyOutcome {
    /// The outcome as a label of metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Ok { .. } => "ok",
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<&Result<RunReport, RunError>> for DutyOutcome {
    fn from(result: &Result<RunReport, RunError>) -> Self {
        match result {
            Ok(report) => Self::Ok { handled: Int53::count(report.handled) },
            Err(RunError::TimedOut { limit }) => Self::TimedOut { limit_ms: Int53::millis(*limit) },
            Err(RunError::TermEnded | RunError::NotLeader) => Self::Cancelled,
            Err(RunError::Failed { cause }) => Self::Failed { error: shorten(cause, CAUSE_BYTES_MAX) },
            Err(RunError::Call(error)) => Self::Failed { error: error.to_string() },
        }
    }
}

impl From<&PeriodicStatus> for DutyInfo {
    fn from(status: &PeriodicStatus) -> Self {
        let last_run = match (status.last_start, status.last_duration, &status.last_result) {
            (Some(started_at), Some(duration), Some(result)) => {
                Some(DutyRun { started_at, duration_ms: fractional_millis(duration), outcome: result.into() })
            }
            _ => None,
        };
        Self {
            elected: status.elected,
            leading: status.leading,
            running_since: status.running_since,
            last_run,
            runs: Int53::count(status.runs),
            failures: status.failures,
            timed_out: Int53::count(status.timed_out),
        }
    }
}

/// Shows the results of a periodic duty, and runs it on request. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PeriodicHandle {
    pub(super) address: Address<PeriodicMessage>,
    pub(super) status: watch::Receiver<PeriodicStatus>,
}

impl PeriodicHandle {
    /// Runs the duty once and waits until that run has ended. When a run is under way already, another run
    /// follows it at once, so that the duty sees all data that was written before the call.
    ///
    /// # Errors
    /// [`RunError`]: the run failed, this node is not the leader, or no answer came within `deadline`.
    pub async fn run_now(&self, deadline: Duration) -> Result<RunReport, RunError> {
        self.address.call(PeriodicMessage::RunNow, deadline).await?
    }

    /// The results up to now.
    pub fn status(&self) -> PeriodicStatus {
        self.status.borrow().clone()
    }

    /// The results as a watch, for waiting until they change.
    pub fn watch(&self) -> watch::Receiver<PeriodicStatus> {
        self.status.clone()
    }
}
