//! What becomes of a job after an attempt: pure decisions.

use std::time::Duration;

use crate::app::job::{JobStatus, RetryBackoff};
use crate::function::AttemptResult;
use crate::kernel::error_chain::{error_causes, error_chain};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::limits::CAUSE_BYTES_MAX;

/// What is written about a job when an attempt has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transition {
    /// The new status.
    pub(super) status: JobStatus,
    /// How long a job that runs again waits; zero for a finished one.
    pub(super) delay: Duration,
    /// The attempt does not count, even if it had begun.
    pub(super) refunds_attempt: bool,
    /// Why the attempt failed.
    pub(super) error: Option<String>,
}

impl Transition {
    /// The end of a job whose handler succeeded.
    pub(super) const COMPLETED: Self =
        Self { status: JobStatus::Completed, delay: Duration::ZERO, refunds_attempt: false, error: None };

    /// Decides what follows from the result of attempt `attempt` of `attempts_max`; `random` is uniform in
    /// `0.0..1.0`.
    pub(super) fn after(
        result: &AttemptResult,
        attempt: u32,
        attempts_max: u32,
        backoff: RetryBackoff,
        random: f64,
    ) -> Self {
        match result {
            AttemptResult::Succeeded => Self::COMPLETED,
            AttemptResult::Snoozed(delay) => Self::wait(*delay),
            AttemptResult::Interrupted => Self::wait(Duration::ZERO),
            AttemptResult::InvalidArguments(fault) => Self::failure(JobStatus::Failed, fault),
            AttemptResult::HandlerError(fault) if attempt >= attempts_max => {
                Self::failure(JobStatus::DeadLetter, fault)
            }
            AttemptResult::HandlerError(fault) => {
                let delay = backoff.delay(attempt, random);
                Self { delay, ..Self::failure(JobStatus::Retry, fault) }
            }
        }
    }

    /// The job waits for `delay`, as if this attempt had not been.
    const fn wait(delay: Duration) -> Self {
        Self { status: JobStatus::Pending, delay, refunds_attempt: true, error: None }
    }

    fn failure(status: JobStatus, fault: &Fault) -> Self {
        Self { status, error: Some(error_text(fault)), ..Self::COMPLETED }
    }
}

/// The fault with its causes, as an operator reads it, without characters that Postgres cannot store.
fn error_text(fault: &Fault) -> String {
    let text = match error_causes(fault) {
        // The message of an internal fault is for clients, which must not see the causes that follow here.
        Some(causes) if fault.code() == Code::Internal => format!("{}: {causes}", fault.code()),
        Some(_) | None => error_chain(fault),
    };
    let text = text.replace('\0', "\u{fffd}");
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > CAUSE_BYTES_MAX) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// True for a job whose row is in the history, where nothing happens to it by itself.
pub(super) const fn is_finished(status: JobStatus) -> bool {
    match status {
        JobStatus::Completed | JobStatus::Failed | JobStatus::DeadLetter | JobStatus::Cancelled => true,
        JobStatus::Pending | JobStatus::Claimed | JobStatus::Running | JobStatus::Retry => false,
    }
}

/// Every change of status that a statement may make, and no other: the arrows of the diagram in
/// [`job`](mod@crate::job), and the ends of an attempt from `Claimed`. The latter happen when Postgres
/// crashed and lost the begin of an attempt whose handler ran on
/// ([`JobStore::begin`](super::store::JobStore::begin)).
pub const STATUS_CHANGES: &[(JobStatus, &[JobStatus])] = {
    use JobStatus::{Cancelled, Claimed, Completed, DeadLetter, Failed, Pending, Retry, Running};
    &[
        (Pending, &[Claimed, Running, Cancelled]),
        (Claimed, &[Running, Pending, Retry, Completed, Failed, DeadLetter, Cancelled]),
        (Running, &[Pending, Retry, Completed, Failed, DeadLetter, Cancelled]),
        (Retry, &[Claimed, Running, Cancelled]),
        (Completed, &[]),
        (Failed, &[Pending]),
        (DeadLetter, &[Pending]),
        (Cancelled, &[Pending]),
    ]
};
