//! The job of a run.

use crate::app::Secret;
use crate::app::cron::CronRun;
use crate::app::job_key::JobKeys;
use crate::app::new_job::NewJob;
use crate::job::insert::DispatchedJob;
use crate::kernel::ids::JobId;
use crate::kernel::trace::TraceContext;

/// What a schedule says of the jobs of its runs.
pub(super) struct RunJob<'a> {
    pub(super) handler: &'a str,
    /// The handler's own arguments, as JSON.
    pub(super) args: &'a str,
    pub(super) identity: Option<&'a str>,
    pub(super) queue: &'a str,
    pub(super) priority: i16,
    pub(super) attempts_max: i32,
}

impl RunJob<'_> {
    /// The job `id` of `run`, which waits until the run is due.
    pub(super) fn dispatched(self, id: JobId, run: &CronRun) -> DispatchedJob {
        DispatchedJob {
            job: NewJob {
                id,
                name: self.handler.to_owned(),
                queue: self.queue.to_owned(),
                priority: self.priority,
                attempts_max: self.attempts_max,
                after_secs: 0.0,
                run_at: Some(run.due_at),
                timeout_ms: None,
                followed: false,
                awaited: false,
                keys: Secret::new(JobKeys::default()),
                args: Secret::new(run.join(self.args)),
            },
            identity: self.identity.map(str::to_owned),
            trace: TraceContext::new_root().to_string(),
        }
    }
}
