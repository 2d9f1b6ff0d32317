//! What becomes of a job: pure decisions.

use std::time::Duration;

use crate::app::job::{JobStatus, RetryBackoff};

/// How an attempt ended, as far as its job is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The handler succeeded.
    Done,
    /// The handler asked for another time.
    Snoozed(Duration),
    /// It never ran, or it was cut by a node that stops.
    HandedBack,
    /// The arguments do not fit the handler.
    Refused(String),
    /// It failed, with what a person should read.
    Failed(String),
}

/// What is written about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) status: JobStatus,
    /// For a job that goes on: how long it waits.
    pub(super) after: Duration,
    /// The attempt does not count, if it had begun.
    pub(super) gives_back: bool,
    pub(super) error: Option<String>,
}

/// The attempt is `attempt` of `attempts_max`; `random` is uniform in `0.0..1.0`.
pub(super) fn judge(
    ending: Ending,
    attempt: u32,
    attempts_max: u32,
    backoff: RetryBackoff,
    random: f64,
) -> Verdict {
    let ended = |status, error| Verdict { status, after: Duration::ZERO, gives_back: false, error };
    let waits = |after| Verdict { status: JobStatus::Pending, after, gives_back: true, error: None };
    match ending {
        Ending::Done => ended(JobStatus::Completed, None),
        Ending::Snoozed(delay) => waits(delay),
        Ending::HandedBack => waits(Duration::ZERO),
        Ending::Refused(error) => ended(JobStatus::Failed, Some(error)),
        Ending::Failed(error) if attempt >= attempts_max => ended(JobStatus::DeadLetter, Some(error)),
        Ending::Failed(error) => {
            Verdict { after: backoff.delay(attempt, random), ..ended(JobStatus::Retry, Some(error)) }
        }
    }
}

/// A job in this status is in the history, and nothing happens to it by itself.
pub(super) const fn is_finished(status: JobStatus) -> bool {
    match status {
        JobStatus::Completed | JobStatus::Failed | JobStatus::DeadLetter | JobStatus::Cancelled => true,
        JobStatus::Pending | JobStatus::Claimed | JobStatus::Running | JobStatus::Retry => false,
    }
}

/// The arrows of the diagram: every move that a statement may make, and no other. An attempt whose begin
/// Postgres forgot in a crash ends from `Claimed`.
pub const MOVES: &[(JobStatus, &[JobStatus])] = {
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
