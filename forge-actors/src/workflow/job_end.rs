//! The job that tells a run that a job has ended which it waits for.

use crate::app::context::JobContext;
use crate::app::dispatch::new_job;
use crate::app::new_job::NewJob;
use crate::app::secret::Secret;
use crate::app::workflow::emit::EmitEvent;
use crate::app::workflow_run::new_run::NewEvent;
use crate::app::{Priority, Result};
use crate::kernel::ids::{JobId, RunId};

/// The event that the end of a job is.
const JOB_ENDED: &str = "forge.job";

/// The job that waits for `job`, and then tells `run`.
pub(super) fn teller(run: RunId, job: JobId) -> Result<NewJob> {
    let mut teller = new_job(&TellJobEnd { run, job }, None)?;
    teller.priority = i16::from(Priority::HIGH.level());
    Ok(teller)
}

/// Emits that a job has ended.
#[forge_app_macros::job(name = "forge.workflowJobEnded", queue = "forge.workflow_jobs", attempts = 1000)]
pub async fn tell_job_end(ctx: &JobContext, run: RunId, job: JobId) -> Result<()> {
    tracing::debug!(%run, %job, "a job has ended that a run waits for");
    let event = NewEvent {
        name: JOB_ENDED.to_owned(),
        key: job.to_string(),
        run: Some(run),
        once: Some(job.to_string()),
        payload: Secret::new("null".to_owned()),
    };
    ctx.call(EmitEvent { event }).await?;
    Ok(())
}
