//! Where a run is in its life, as people see it.

/// Where a run is in its life; the diagram is in the module of workflows.
#[forge_app_macros::data]
#[serde(rename_all = "snake_case")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkflowStatus {
    /// Waits for a node that executes it.
    Ready,
    /// A node executes it.
    Running,
    /// Waits for a time, an event, a run or a job.
    Waiting,
    /// What it has completed is taken back; it ends then.
    Compensating,
    /// A person has paused it, or its activations have ended without progress too often.
    Paused,
    /// The code does not fit its journal: it waits for other code, and a person.
    Diverged,
    /// A compensation has failed: a person retries or skips it.
    CompensationFailed,
    /// Its function has returned.
    Completed,
    /// Its function has failed, or its time limit has passed.
    Failed,
    /// A person, or the run that had started it, has cancelled it.
    Cancelled,
    /// A person has ended it as it was.
    Terminated,
    /// It went on as a new run.
    Continued,
}

impl WorkflowStatus {
    /// Every status, those of runs that have not ended first.
    pub const ALL: [Self; 12] = [
        Self::Ready,
        Self::Running,
        Self::Waiting,
        Self::Compensating,
        Self::Paused,
        Self::Diverged,
        Self::CompensationFailed,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Terminated,
        Self::Continued,
    ];

    /// The label on the wire and in the statements.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Compensating => "compensating",
            Self::Paused => "paused",
            Self::Diverged => "diverged",
            Self::CompensationFailed => "compensation_failed",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
            Self::Continued => "continued",
        }
    }

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == label)
    }

    /// Whether the run has ended.
    pub const fn is_ended(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled | Self::Terminated | Self::Continued => true,
            Self::Ready
            | Self::Running
            | Self::Waiting
            | Self::Compensating
            | Self::Paused
            | Self::Diverged
            | Self::CompensationFailed => false,
        }
    }

    /// Whether an index finds the runs in this status, the newest first.
    pub(super) const fn has_index(self) -> bool {
        matches!(
            self,
            Self::Paused
                | Self::Diverged
                | Self::CompensationFailed
                | Self::Failed
                | Self::Cancelled
                | Self::Terminated
        )
    }
}
