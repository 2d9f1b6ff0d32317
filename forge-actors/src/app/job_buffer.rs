//! What keeps dispatched jobs while the database is away.

use futures::future::BoxFuture;

use crate::app::error::Result;
use crate::app::new_job::NewJob;
use crate::kernel::time::Timestamp;

/// A job that waits on the disk of a node until the database takes it.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct BufferedJob {
    /// The job.
    pub job: NewJob,
    /// JSON of its dispatcher's identity.
    pub identity: Option<String>,
    /// `traceparent` of the call that dispatched it.
    pub trace: String,
    /// Who follows it, if its dispatcher does (`app::follower`).
    pub follower: Option<String>,
    /// When it was dispatched, by the clock of the node.
    pub at: Timestamp,
}

impl BufferedJob {
    /// The job as it is dispatched at `now`: of its wait, what has passed since its dispatch is over.
    pub(crate) fn due_at(&self, now: Timestamp) -> NewJob {
        let passed = (now - self.at).to_std().unwrap_or_default();
        NewJob { after_secs: (self.job.after_secs - passed.as_secs_f64()).max(0.0), ..self.job.clone() }
    }
}

/// Keeps jobs while the database is away. The job subsystem implements it, so that contexts need not import
/// that subsystem.
pub trait BufferJob: Send + Sync + 'static {
    /// Returns when the job is on the disk. Dropping the future does not take it back.
    ///
    /// # Errors
    /// `UNAVAILABLE` when there is no buffer, when it is full, or when the disk does not take the job.
    fn buffer(&self, job: BufferedJob) -> BoxFuture<'static, Result<()>>;
}
