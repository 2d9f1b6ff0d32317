//! What the commands share that change many jobs or runs: a job of the node does it, and they wait for it.

use std::time::Duration;

use forge_actors::app::JobStatus;
use forge_actors::job::admin::{BoundedCount, JobRow};

use crate::terminal::report::{Exit, Report};

/// Time between two looks at how far the node is.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How the job that did it has ended.
///
/// # Errors
/// When it has not completed.
pub(super) fn end_of(job: JobRow) -> Result<(), Report> {
    match job.status {
        JobStatus::Cancelled | JobStatus::DeadLetter | JobStatus::Failed => {
            let message = format!("the job that did it is {}", job.status.as_str());
            let report = Report::new(Exit::Failed, "bulk-ended", message);
            Err(report.cause(job.last_error.unwrap_or_default()))
        }
        JobStatus::Pending
        | JobStatus::Claimed
        | JobStatus::Running
        | JobStatus::Retry
        | JobStatus::Completed => Ok(()),
    }
}

/// How many there are of each status, in brackets; nothing when there are none.
pub(super) fn counts(counts: impl Iterator<Item = (BoundedCount, &'static str)>) -> String {
    let counts: Vec<_> = counts.map(|(found, status)| format!("{} {status}", found.count)).collect();
    if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) }
}
