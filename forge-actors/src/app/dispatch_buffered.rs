//! `ctx.dispatch_buffered(message)`: a dispatch that outlives an outage of the database.

use std::time::SystemTime;

use crate::app::call::CallableFrom;
use crate::app::context::Ctx;
use crate::app::dispatch::Dispatch;
use crate::app::enqueue::{DispatchableFrom, Enqueue, origin};
use crate::app::error::Result;
use crate::app::follower::follower;
use crate::app::handler::Handler;
use crate::app::job_buffer::BufferedJob;
use crate::app::kind::{Action, Cron, Job, Kind, Mutation};
use crate::app::new_job::{DispatchOutcome, NewJob};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::Timestamp;

/// The kinds whose dispatches may be buffered.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` cannot buffer a dispatch",
    label = "no `dispatch_buffered()` here",
    note = "a mutation's jobs are part of its transaction, which an outage of the database ends; actions, \
            jobs and crons buffer what they dispatch"
)]
pub trait BuffersJobs: Kind {}
impl BuffersJobs for Action {}
impl BuffersJobs for Job {}
impl BuffersJobs for Cron {}

impl<K: Kind> Ctx<K> {
    /// As [`dispatch`](Self::dispatch); while the database is away, or takes no writes, the job is kept on
    /// the disk of this node, and dispatched when the database is back, also after a restart of the node.
    /// Then [`outcome`](Dispatch::outcome) is [`DispatchOutcome::Buffered`].
    ///
    /// A buffered job is as safe as the node's disk (`jobs.buffer`), and waits for the node. It is dispatched
    /// once; a time given with `after` counts from this call. A handle of it finds the job from its dispatch
    /// on.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the buffer does not take the job either: it is full (`jobs.buffer_bytes_max`), off,
    /// or the disk refuses it. `OUTCOME_UNKNOWN` when the database went away while it committed: such a job
    /// is not buffered, since it may exist. Otherwise those of [`dispatch`](Self::dispatch).
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn record(_ctx: &JobContext, reading: f64) -> Result<()> { Ok(()) }
    /// #[forge::action]
    /// pub async fn measure(ctx: &ActionContext, reading: f64) -> Result<bool> {
    ///     let outcome = ctx.dispatch_buffered(Record { reading }).outcome().await?;
    ///     Ok(matches!(outcome, DispatchOutcome::Buffered(_)))
    /// }
    /// # fn main() {}
    /// ```
    pub fn dispatch_buffered<H>(&self, message: H) -> Dispatch<'_, H>
    where
        K: BuffersJobs,
        Mutation: CallableFrom<K>,
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        self.dispatch(message).enqueued_by(Box::new(move |job: NewJob| {
            Box::pin(async move {
                // By a mutation, whose failures say whether the job may exist.
                match self.call(Enqueue { job: job.clone() }).await.map_err(Fault::from) {
                    Err(fault) if fault.code() == Code::Unavailable => buffer(self, job, &fault).await,
                    outcome => outcome,
                }
            })
        }))
    }
}

/// Buffers a job whose dispatch has failed with `outage`.
async fn buffer<K: Kind>(ctx: &Ctx<K>, job: NewJob, outage: &Fault) -> Result<DispatchOutcome> {
    let id = job.id;
    let (identity, trace) = origin(ctx, ctx.identity())?;
    let follower = job.followed.then(|| follower(ctx.identity()));
    let buffered = BufferedJob { job, identity, trace, follower, at: Timestamp::from(SystemTime::now()) };
    ctx.scope.shared.services.job_buffer.buffer(buffered).await.map_err(|refusal| {
        let text = format!("{}, and {}", outage.message(), refusal.message());
        Fault::new(Code::Unavailable, text)
    })?;
    Ok(DispatchOutcome::Buffered(id))
}
