//! What an administrator can do to runs, and to which of them.

use super::status::WorkflowStatus;

/// What may be done to runs.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkflowAction {
    /// Take back what they have completed, and end them.
    Cancel,
    /// End them as they are; nothing is compensated.
    Terminate,
    /// Let them go on no further, until they are resumed.
    Pause,
    /// Let paused ones go on.
    Resume,
    /// Try again: those that have diverged, whose compensation has failed, or that ended without success.
    Retry,
}

impl WorkflowAction {
    /// Every action.
    pub const ALL: [Self; 5] = [Self::Cancel, Self::Terminate, Self::Pause, Self::Resume, Self::Retry];

    /// Its label on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
        }
    }

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == label)
    }

    /// Whether the action changes a run in this status.
    pub const fn applies_to(self, status: WorkflowStatus) -> bool {
        use WorkflowStatus::{
            Cancelled, CompensationFailed, Diverged, Failed, Paused, Ready, Running, Terminated, Waiting,
        };
        match self {
            Self::Cancel => matches!(status, Ready | Running | Waiting | Paused | Diverged),
            Self::Terminate => !status.is_ended(),
            Self::Pause => matches!(status, Ready | Running | Waiting),
            Self::Resume => matches!(status, Paused),
            Self::Retry => matches!(status, Diverged | CompensationFailed | Failed | Cancelled | Terminated),
        }
    }

    /// Why the action does not change a run in this status.
    pub fn refusal(self, status: WorkflowStatus) -> String {
        let label = status.as_str();
        match (self, status) {
            (Self::Cancel | Self::Terminate | Self::Pause, _) if status.is_ended() => {
                format!("the run is {label} already")
            }
            (Self::Cancel, WorkflowStatus::CompensationFailed) => {
                "a compensation of the run has failed: retry or skip it, or terminate the run".to_owned()
            }
            (Self::Cancel | Self::Pause, WorkflowStatus::Compensating) => {
                "what the run has completed is being compensated already".to_owned()
            }
            (Self::Cancel, WorkflowStatus::Diverged) => {
                "the run was asked to cancel already, and its code does not fit its journal: retry it with \
                 code that fits, or terminate the run"
                    .to_owned()
            }
            (Self::Cancel, _) => "the run was asked to cancel already".to_owned(),
            (Self::Pause, WorkflowStatus::Ready | WorkflowStatus::Running | WorkflowStatus::Waiting) => {
                "the run was asked to pause or to cancel already".to_owned()
            }
            (Self::Pause, _) => format!("the run is {label}: it goes on no further already"),
            (Self::Resume, _) => format!("the run is {label}, and not paused"),
            (Self::Retry, WorkflowStatus::Completed | WorkflowStatus::Continued) => {
                format!("the run is {label}: fork it to execute a part of it again")
            }
            (Self::Retry, WorkflowStatus::Paused) => "the run is paused: resume it".to_owned(),
            (Self::Retry, _) => format!("the run is {label}: there is nothing to try again"),
            (Self::Terminate, _) => format!("the run is {label}, and changes at this moment; try again"),
        }
    }
}
