//! How a job has ended, for a handler that has waited for it.

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::error::Result;
use crate::app::job_failure::JobFailure;
use crate::kernel::ids::JobId;

/// How a job has ended.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEnd {
    /// Its handler has returned this, as JSON; `None` stands for `null`.
    Completed(Option<Bytes>),
    /// It has ended without success.
    Failed(JobFailure),
}

/// Waits for ends of jobs. The job subsystem implements it, so that contexts need not import that subsystem.
pub trait AwaitJobEnd: Send + Sync + 'static {
    /// Waits until a followed job has ended. Dropping the future ends the wait, not the job.
    fn ended(&self, job: JobId) -> BoxFuture<'static, Result<JobEnd>>;
}
