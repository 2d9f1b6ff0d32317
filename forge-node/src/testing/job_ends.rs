//! `ctx.run_job(..)` in a test: there are no workers, so the job runs where it is waited for.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use forge_actors::app::job_end::{AwaitJobEnd, JobEnd};
use forge_actors::job::Jobs;
use forge_actors::kernel::fault::Fault;
use forge_actors::kernel::ids::JobId;

/// Runs the jobs that are due when a handler waits for one of them.
#[derive(Default)]
pub(super) struct InlineJobEnds {
    /// Set once, by the node that is started.
    jobs: OnceLock<Jobs>,
}

impl InlineJobEnds {
    pub(super) fn run_by(&self, jobs: Jobs) {
        self.jobs.get_or_init(|| jobs);
    }
}

impl AwaitJobEnd for InlineJobEnds {
    fn ended(&self, job: JobId) -> Pin<Box<dyn Future<Output = Result<JobEnd, Fault>> + Send>> {
        let jobs = self.jobs.get().cloned();
        Box::pin(async move {
            let jobs = jobs.ok_or_else(|| Fault::internal("the node of the test has not started"))?;
            jobs.run_inline().await?;
            let waits = "the job waits for a later time (`after`, `at` or a snooze): let it pass with \
                         `cx.advance(..)`, or run the job with `cx.run_jobs().scheduled()`";
            jobs.end_of(job).await?.ok_or_else(|| Fault::internal(waits))
        })
    }
}
