//! What becomes of a job after an attempt: pure decisions.

use std::time::Duration;

use bytes::Bytes;

use crate::app::job::{JobStatus, RetryBackoff};
use crate::app::job_failure::JobFailure;
use crate::app::node::Build;
use crate::function::AttemptResult;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::{error_causes, error_chain};
use crate::kernel::fault::Fault;
use crate::kernel::limits::{CAUSE_BYTES_MAX, JOB_DELAY_MAX};
use crate::kernel::storable::{in_ascii, json_in_ascii, without_nul};
use crate::kernel::time::{hours, secs};

/// What is written about a job when an attempt has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transition {
    /// The new status.
    pub(super) status: JobStatus,
    /// How long a job that runs again waits; zero for a finished one.
    pub(super) delay: Duration,
    /// The attempt does not count, even if it had begun.
    pub(super) refunds_attempt: bool,
    /// Why the attempt failed, as operators read it.
    pub(super) error: Option<String>,
    /// What the handler of a completed job returned, as JSON.
    pub(super) result: Option<Bytes>,
    /// Why the job has ended without success, as its dispatcher may read it: JSON of a `JobFailure`.
    pub(super) failure: Option<String>,
    /// The build that could not read the arguments, when the job waits for another one.
    pub(super) refused_by: Option<Build>,
}

/// How long a job that a build refused waits, at least. It is claimed by whichever node comes first, so that
/// all nodes of the other build get their chance within several of these waits.
const REFUSED_WAIT: Duration = secs(2);
/// The random part of that wait: jobs that were refused together come back one by one.
const REFUSED_WAIT_SPREAD: Duration = secs(4);
/// Wait of a job whose every result the database refuses. It doubles with each claim, because each wait ends
/// in another run of the handler.
const UNENDED_WAIT: Backoff = Backoff::exponential(secs(10), hours(1));

impl Transition {
    /// The end of a job whose handler succeeded.
    pub(super) const COMPLETED: Self = Self {
        status: JobStatus::Completed,
        delay: Duration::ZERO,
        refunds_attempt: false,
        error: None,
        result: None,
        failure: None,
        refused_by: None,
    };

    /// What the transaction has written that suspended a job.
    pub(super) const SUSPENDED: Self =
        Self { status: JobStatus::Pending, refunds_attempt: true, ..Self::COMPLETED };

    /// The end of a job whose handler succeeded with `result`.
    pub(super) fn completed(result: Option<Bytes>) -> Self {
        Self { result, ..Self::COMPLETED }
    }

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
            AttemptResult::Succeeded(result) => Self::completed(result.clone()),
            AttemptResult::Snoozed(delay) => Self::wait(*delay),
            AttemptResult::Suspended | AttemptResult::Interrupted => Self::wait(Duration::ZERO),
            AttemptResult::InvalidArguments(fault) | AttemptResult::Unrepeatable(fault) => {
                Self::failed(JobStatus::Failed, fault)
            }
            AttemptResult::HandlerError(fault) if attempt >= attempts_max => {
                Self::failed(JobStatus::DeadLetter, fault)
            }
            AttemptResult::HandlerError(fault) => {
                let delay = backoff.delay(attempt, random);
                let error = Some(error_text(fault));
                Self { status: JobStatus::Retry, delay, error, ..Self::COMPLETED }
            }
        }
    }

    /// What is written when the database refuses this result, of the claim with number `claim`, for
    /// `refusal`.
    pub(super) fn rewritten(&self, rewrite: Rewrite, refusal: &Fault, claim: u32) -> Self {
        match rewrite {
            Rewrite::InAscii => Self {
                error: self.error.as_deref().map(in_ascii),
                result: self
                    .result
                    .as_deref()
                    .map(|json| json_in_ascii(&String::from_utf8_lossy(json)).into()),
                failure: self.failure.as_deref().map(json_in_ascii),
                ..self.clone()
            },
            Rewrite::AsFailed => Self::failed_because(self.refused_for(refusal)),
            Rewrite::AsWaiting => {
                let reason = self.refused_for(refusal);
                let reason = format!("{reason}; the job cannot end, and runs again");
                let delay = UNENDED_WAIT.ceiling(claim.saturating_sub(1));
                Self { error: Some(shorten(&in_ascii(&reason))), ..Self::wait(delay) }
            }
        }
    }

    /// Why this result was not written, and its own error.
    fn refused_for(&self, refusal: &Fault) -> String {
        let error = self.error.as_deref().map(|error| format!("; {error}")).unwrap_or_default();
        format!("the database refused the result `{}`: {}{error}", self.status.as_str(), cause_of(refusal))
    }

    /// The end of a job whose begin the database refuses for `refusal`.
    pub(super) fn begin_refused(refusal: &Fault) -> Self {
        Self::failed_because(format!("the database refused the begin of an attempt: {}", cause_of(refusal)))
    }

    fn failed_because(reason: String) -> Self {
        Self { status: JobStatus::Failed, error: Some(shorten(&in_ascii(&reason))), ..Self::COMPLETED }
    }

    /// The job waits for `delay`, as if this attempt had not been.
    fn wait(delay: Duration) -> Self {
        let delay = delay.min(JOB_DELAY_MAX);
        Self { status: JobStatus::Pending, delay, refunds_attempt: true, ..Self::COMPLETED }
    }

    /// The job waits for a node of another build, since `build` cannot read its arguments; `random` is
    /// uniform in `0.0..1.0`.
    pub(super) fn refused(fault: &Fault, build: Build, random: f64) -> Self {
        let delay = REFUSED_WAIT + REFUSED_WAIT_SPREAD.mul_f64(random);
        Self { error: Some(error_text(fault)), refused_by: Some(build), ..Self::wait(delay) }
    }

    /// The end of a job without success.
    fn failed(status: JobStatus, fault: &Fault) -> Self {
        // A failure that cannot be written is left out: the operator's text has it.
        let failure = JobFailure::json_of(fault).ok();
        Self { status, error: Some(error_text(fault)), failure, ..Self::COMPLETED }
    }
}

/// How a result is written that the database has refused, in the order in which it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rewrite {
    /// With the error text in ASCII: the encoding of the database may lack a character of the text.
    InAscii,
    /// As a failure of the job, with the refusal and the refused result as its reason.
    AsFailed,
    /// As a job that waits in its queue, with the same reason: the history may refuse the job, whatever its
    /// end. The attempt does not count, since a job without attempts left cannot wait.
    AsWaiting,
}

impl Rewrite {
    pub(super) const ALL: [Self; 3] = [Self::InAscii, Self::AsFailed, Self::AsWaiting];
}

/// The last error of a job that is not rescued, since the database refuses its row for `refusal`.
pub(super) fn unrescued(refusal: &str) -> String {
    let reason =
        format!("lease expired, and the database refuses to have the job run again or end: {refusal}");
    shorten(&in_ascii(&reason))
}

/// The database's own words, where the fault has them.
fn cause_of(fault: &Fault) -> String {
    error_causes(fault).unwrap_or_else(|| fault.to_string())
}

/// True when one of the `builds` that run jobs now is neither `own` nor among those that `refused`. A node
/// that names no build is of an older version.
pub(super) fn is_another_build(builds: &[Option<String>], own: &str, refused: &[String]) -> bool {
    builds.iter().any(|build| match build {
        Some(build) => build != own && !refused.contains(build),
        None => true,
    })
}

/// The fault with its causes, as an operator reads it, without characters that Postgres cannot store.
fn error_text(fault: &Fault) -> String {
    shorten(&without_nul(&error_chain(fault)))
}

/// The beginning of `text`, as long as an error is kept.
fn shorten(text: &str) -> String {
    let end = text.char_indices().find(|(at, c)| at + c.len_utf8() > CAUSE_BYTES_MAX);
    text[..end.map_or(text.len(), |(end, _)| end)].to_owned()
}

/// True for a job whose row is in the history, where nothing happens to it by itself.
pub(super) const fn is_finished(status: JobStatus) -> bool {
    match status {
        JobStatus::Completed | JobStatus::Failed | JobStatus::DeadLetter | JobStatus::Cancelled => true,
        JobStatus::Pending | JobStatus::Claimed | JobStatus::Running | JobStatus::Retry => false,
    }
}

/// Every change of status that a statement may make, and no other: the arrows of the diagram in
/// [`job`](mod@crate::job), and the ends of an attempt from `Claimed`, since the begin of a job that a batch
/// lease holds is noted by a renewal, and short attempts end before one.
pub const STATUS_CHANGES: &[(JobStatus, &[JobStatus])] = {
    use JobStatus::{Cancelled, Claimed, Completed, DeadLetter, Failed, Pending, Retry, Running};
    &[
        (Pending, &[Claimed, Running, Cancelled]),
        (Claimed, &[Running, Pending, Retry, Completed, Failed, DeadLetter, Cancelled]),
        (Running, &[Pending, Retry, Completed, Failed, DeadLetter, Cancelled]),
        (Retry, &[Claimed, Running, Cancelled]),
        (Completed, &[]),
        (Failed, &[Pending, Cancelled]),
        (DeadLetter, &[Pending, Cancelled]),
        (Cancelled, &[Pending]),
    ]
};
