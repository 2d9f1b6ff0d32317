//! What an administrator can do to jobs, and to which of them.

use crate::app::JobStatus;
use crate::job::state::is_finished;

/// What may be done to jobs.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobAction {
    /// Run them now: those that wait at once, those that failed, are dead letters or were cancelled with all
    /// of their attempts.
    Retry,
    /// End those that are not finished, also those that run.
    Cancel,
    /// End those that wait, and take those that failed for good out of the failures.
    Discard,
}

impl JobAction {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Retry, Self::Cancel, Self::Discard];

    /// Its label, on the wire and in Postgres.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Discard => "discard",
        }
    }

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == label)
    }

    /// Whether the action changes a job in this status.
    pub const fn applies_to(self, status: JobStatus) -> bool {
        use JobStatus::{Cancelled, Claimed, Completed, DeadLetter, Failed, Pending, Retry, Running};
        match (self, status) {
            (_, Completed) => false,
            (Self::Retry, Pending | Retry | Failed | DeadLetter | Cancelled)
            | (Self::Cancel, Pending | Retry | Claimed | Running)
            | (Self::Discard, Pending | Retry | Failed | DeadLetter) => true,
            (Self::Retry, Claimed | Running)
            | (Self::Cancel, Failed | DeadLetter | Cancelled)
            | (Self::Discard, Claimed | Running | Cancelled) => false,
        }
    }

    /// Why the action does not change a job in this status.
    pub fn refusal(self, status: JobStatus, waits_for_jobs: bool) -> String {
        let label = status.as_str();
        match (self, status) {
            (Self::Retry, _) if waits_for_jobs => {
                "the job waits for other jobs and cannot be retried; `forge-node jobs why <id>` \
                 (forge.whyJob) says what it waits for"
                    .to_owned()
            }
            (Self::Retry, JobStatus::Claimed | JobStatus::Running) => {
                format!("the job is {label}: it cannot be tried again before its attempt has ended")
            }
            (Self::Retry, _) => format!("the job is {label}: there is nothing to try again"),
            (Self::Cancel, _) if is_finished(status) => format!("the job is {label} already"),
            (Self::Cancel, _) => format!("the job is {label}, and changes at this moment; try again"),
            (Self::Discard, JobStatus::Claimed | JobStatus::Running) => {
                format!("the job is {label}: cancel it to end it")
            }
            (Self::Discard, _) => format!("the job is {label} already: it is in no list of failures"),
        }
    }
}
