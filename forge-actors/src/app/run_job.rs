//! `ctx.run_job(message)`: dispatches a job and waits for its end.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use serde_json::json;

use crate::app::context::{ActionContext, Ctx, WorkflowContext};
use crate::app::dispatch::Dispatch;
use crate::app::enqueue::DispatchableFrom;
use crate::app::error::{AppError, CallError};
use crate::app::handler::Handler;
use crate::app::job_outcome::{JobOutcome, outcome_of};
use crate::app::kind::{Action, Kind, Workflow};
use crate::kernel::fair_limit::CallPlace;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::time::millis;

/// The wait ends this long before the action's own time limit, so that the action can still answer; a tenth
/// of the time left at most.
const MARGIN_MAX: Duration = millis(500);

/// A job about to be dispatched and waited for; awaiting this does it.
#[must_use = "no job runs until this is awaited"]
pub struct AwaitedDispatch<'a, H, K: Kind> {
    ctx: &'a Ctx<K>,
    dispatch: Dispatch<'a, H>,
    wait: Duration,
}

/// The kinds that may wait for a job.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` cannot wait for a job",
    label = "no `run_job()` here",
    note = "a mutation's jobs exist when it has committed, so it would wait for ever; a job would keep its \
            worker while it waits: dispatch children there and let `ctx.wait_for_jobs()` suspend it; only \
            actions and workflows run jobs and wait for them"
)]
pub trait AwaitsJobs: Kind {
    /// A job that runs; awaiting it waits for its end.
    #[doc(hidden)]
    type Running<'a, H: Handler>;

    #[doc(hidden)]
    fn run_job<'a, H>(ctx: &'a Ctx<Self>, message: H) -> Self::Running<'a, H>
    where
        H: Handler,
        H::Kind: DispatchableFrom<Self>;
}

impl AwaitsJobs for Action {
    type Running<'a, H: Handler> = AwaitedDispatch<'a, H, Self>;

    fn run_job<'a, H>(ctx: &'a ActionContext, message: H) -> AwaitedDispatch<'a, H, Self>
    where
        H: Handler,
        H::Kind: DispatchableFrom<Self>,
    {
        AwaitedDispatch { ctx, dispatch: ctx.dispatch(message), wait: Duration::MAX }
    }
}

/// In a workflow the job is a step, and the run leaves memory while it only waits.
impl AwaitsJobs for Workflow {
    type Running<'a, H: Handler> = BoxFuture<'a, JobOutcome<H>>;

    fn run_job<'a, H>(ctx: &'a WorkflowContext, message: H) -> BoxFuture<'a, JobOutcome<H>>
    where
        H: Handler,
        H::Kind: DispatchableFrom<Self>,
    {
        ctx.job_outcome(message)
    }
}

impl<K: Kind> Ctx<K> {
    /// Queues a job, waits until it has ended, and returns what its handler has returned. The call gives up
    /// its place among the calls of the node while it waits.
    ///
    /// In a workflow the job is a step, and the run waits for it as long as it takes, without memory. Such a
    /// job is made anew also when its handler is `unique`.
    ///
    /// The job goes on when the wait is over: after [`wait_max`](AwaitedDispatch::wait_max), or a moment
    /// before the time limit of this handler.
    ///
    /// # Errors
    /// [`CallError::App`] is the own error of the job's handler, [`CallError::Fault`] any other
    /// reason for which the job has ended without success, after all of its attempts. `TIMEOUT`,
    /// `OVERLOADED` (10,000 calls of the node wait) and `UNAVAILABLE` say that the job goes on; its id is in
    /// `details.job`.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn render(_ctx: &JobContext, pages: u32) -> Result<u32> { Ok(pages) }
    /// #[forge::action(timeout = "1m")]
    /// pub async fn render_now(ctx: &ActionContext, pages: u32) -> Result<u32> {
    ///     Ok(ctx.run_job(Render { pages }).wait_max(secs(30)).await?)
    /// }
    /// # fn main() {}
    /// ```
    pub fn run_job<H>(&self, message: H) -> K::Running<'_, H>
    where
        K: AwaitsJobs,
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        K::run_job(self, message)
    }
}

impl<H, K: Kind> AwaitedDispatch<'_, H, K> {
    /// Waits for this long at most.
    pub fn wait_max(self, limit: Duration) -> Self {
        Self { wait: limit, ..self }
    }
}

impl<'a, H: Handler, K: Kind> IntoFuture for AwaitedDispatch<'a, H, K> {
    type Output = JobOutcome<H>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { ctx, dispatch, wait } = self;
        Box::pin(async move {
            let job = dispatch.handle().await.map_err(CallError::Fault)?.id();
            let scope = &ctx.scope.shared;
            let left = scope.deadline.saturating_duration_since(Instant::now());
            let wait = wait.min(left - MARGIN_MAX.min(left / 10));
            let _vacated = scope.place.upgrade().map(CallPlace::vacate);
            match tokio::time::timeout(wait, scope.services.job_ends.ended(job)).await {
                Ok(Ok(end)) => outcome_of::<H>(end),
                Ok(Err(fault)) => Err(goes_on(fault, job)),
                Err(_) => {
                    let text = format!("the job {job} has not ended in time; it goes on");
                    Err(goes_on(Fault::new(Code::Timeout, text), job))
                }
            }
        })
    }
}

/// The wait has ended with `fault`, and the job has not.
fn goes_on<E: AppError>(fault: Fault, job: JobId) -> CallError<E> {
    CallError::Fault(fault.with_details(json!({ "job": job })))
}
