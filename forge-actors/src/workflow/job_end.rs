//! The job that wakes a run when a job has ended for which the run waits.

use crate::app::context::JobContext;
use crate::app::dispatch::new_job;
use crate::app::new_job::NewJob;
use crate::app::secret::Secret;
use crate::app::workflow::emit::InsertNewEvent;
use crate::app::workflow_run::new_run::NewEvent;
use crate::app::{Priority, Result};
use crate::kernel::ids::{JobId, RunId};

/// The name of the event that stands for the end of a job; its key is the id of the job.
const JOB_ENDED: &str = "forge.job";

/// A job that is executed when `job` has ended, and wakes `run` then.
pub(super) fn end_notifier(run: RunId, job: JobId) -> Result<NewJob> {
    let mut notifier = new_job(&NotifyJobEnd { run, job }, None)?;
    notifier.priority = i16::from(Priority::HIGH.level());
    Ok(notifier)
}

/// Emits the event that stands for the end of a job, which wakes the run that waits for it.
#[forge_app_macros::job(name = "forge.workflowJobEnded", queue = "forge.workflow_jobs", attempts = 1000)]
pub async fn notify_job_end(ctx: &JobContext, run: RunId, job: JobId) -> Result<()> {
    tracing::debug!(%run, %job, "a job ended for which a run waits");
    let event = NewEvent {
        name: JOB_ENDED.to_owned(),
        key: job.to_string(),
        run: Some(run),
        once: Some(job.to_string()),
        payload: Secret::new("null".to_owned()),
    };
    ctx.call(InsertNewEvent { event }).await?;
    Ok(())
}
