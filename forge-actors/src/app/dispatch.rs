//! `ctx.dispatch(message)`: a job becomes a row.
//!
//! In a mutation the row is part of its transaction, so that the job exists if and only if the mutation
//! committed. Actions and jobs have no transaction, so there the insert is a mutation of its own. Workers are
//! woken after the commit; a row whose hint gets lost is found by the next poll of its queue.

use std::future::IntoFuture;
use std::time::Duration;

use chrono::DateTime;
use futures::future::BoxFuture;

use crate::app::context::{ActionContext, CronContext, Ctx, JobContext, MutationContext};
use crate::app::error::Result;
use crate::app::handler::Handler;
use crate::app::job::{JobMeta, Priority};
use crate::app::kind::{Action, Cron, Job, Kind, Mutation};
use crate::app::new_job::NewJob;
use crate::app::secret::Secret;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::limits::JOB_DELAY_MAX;
use crate::kernel::remedy;
use crate::kernel::time::Timestamp;

/// The latest moment that a job may wait for. Postgres knows later ones, clients do not.
const AT_MAX: Timestamp = DateTime::from_timestamp(253_402_300_799, 0).expect("a moment of the year 9999");
/// The most attempts of a job, as in its attribute.
const ATTEMPTS_MAX: u32 = 1_000;

/// A job about to be dispatched; awaiting this does it.
#[must_use = "a dispatch does nothing until it is awaited"]
pub struct Dispatch<'a> {
    job: Result<NewJob>,
    enqueue: Box<dyn FnOnce(NewJob) -> BoxFuture<'a, Result<()>> + Send + 'a>,
}

impl<K: Kind> Ctx<K> {
    /// Queues a job, which carries the caller's identity and trace. Returns the id of the job.
    ///
    /// In a mutation the job exists if and only if the mutation commits. Actions and jobs have no
    /// transaction, so there the dispatch commits on its own.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the arguments are larger than the job's `input_max`.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn remind(_ctx: &JobContext, task: Uuid) -> Result<()> { Ok(()) }
    /// #[forge::mutation]
    /// pub async fn remind_later(ctx: &MutationContext, task: Uuid) -> Result<JobId> {
    ///     ctx.dispatch(Remind { task }).after(minutes(5)).await
    /// }
    /// # fn main() {}
    /// ```
    pub fn dispatch<H>(&self, message: H) -> Dispatch<'_>
    where
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        Dispatch { job: new_job(&message), enqueue: Box::new(move |job| H::Kind::enqueue(self, job)) }
    }
}

impl Dispatch<'_> {
    /// Lets the job wait for this time at least, by the database's clock; a hundred years at most. Takes the
    /// place of [`at`](Self::at).
    pub fn after(self, delay: Duration) -> Self {
        self.change(|job| {
            job.run_at = None;
            job.after_secs = delay.min(JOB_DELAY_MAX).as_secs_f64();
        })
    }

    /// Lets the job wait until this moment, by the database's clock; a moment that has passed is now, and the
    /// latest is the year 9999. Takes the place of [`after`](Self::after).
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn remind(_ctx: &JobContext, task: Uuid) -> Result<()> { Ok(()) }
    /// #[forge::mutation]
    /// pub async fn remind_at(ctx: &MutationContext, task: Uuid, at: Timestamp) -> Result<JobId> {
    ///     ctx.dispatch(Remind { task }).at(at).priority(Priority::HIGH).attempts(3).await
    /// }
    /// # fn main() {}
    /// ```
    pub fn at(self, moment: Timestamp) -> Self {
        self.change(|job| job.run_at = Some(moment.min(AT_MAX)))
    }

    /// Gives the job this priority in place of its handler's.
    pub fn priority(self, priority: Priority) -> Self {
        self.change(|job| job.priority = i16::from(priority.level()))
    }

    /// Gives the job so many attempts in place of its handler's: 1 to 1,000, the nearest of these otherwise.
    pub fn attempts(self, attempts: u32) -> Self {
        self.change(|job| job.attempts_max = attempts.clamp(1, ATTEMPTS_MAX).cast_signed())
    }

    fn change(mut self, change: impl FnOnce(&mut NewJob)) -> Self {
        if let Ok(job) = &mut self.job {
            change(job);
        }
        self
    }
}

impl<'a> IntoFuture for Dispatch<'a> {
    type Output = Result<JobId>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { job, enqueue } = self;
        Box::pin(async move {
            let job = job?;
            let id = job.id;
            enqueue(job).await?;
            Ok(id)
        })
    }
}

/// Which kind may be dispatched from which: jobs, from whatever may write.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Caller}>` cannot dispatch a handler of kind `{Self}`",
    label = "no `dispatch()` of this here",
    note = "only jobs are dispatched; mutations, actions, jobs and crons dispatch them, a query only reads \
            and a dispatched job is a row"
)]
pub trait DispatchableFrom<Caller: Kind>: Kind {
    /// Writes the job's row: in the transaction of `ctx`, or in one of its own.
    #[doc(hidden)]
    fn enqueue(ctx: &Ctx<Caller>, job: NewJob) -> BoxFuture<'_, Result<()>>;
}

impl DispatchableFrom<Mutation> for Job {
    fn enqueue(ctx: &MutationContext, job: NewJob) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { insert(ctx, &job).await })
    }
}

impl DispatchableFrom<Action> for Job {
    fn enqueue(ctx: &ActionContext, job: NewJob) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { Ok(ctx.call(Enqueue { job }).await?) })
    }
}

impl DispatchableFrom<Cron> for Job {
    fn enqueue(ctx: &CronContext, job: NewJob) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { Ok(ctx.call(Enqueue { job }).await?) })
    }
}

impl DispatchableFrom<Self> for Job {
    fn enqueue(ctx: &JobContext, job: NewJob) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { Ok(ctx.call(Enqueue { job }).await?) })
    }
}

impl MutationContext {
    /// Wakes the workers of this queue after the commit, for rows that were written by other means than
    /// `dispatch`.
    pub(crate) fn wake_workers(&self, queue: &str) {
        self.scope.shared.after_commit.wake(queue);
    }
}

/// The job that runs `message`.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` when the arguments are larger than the job's `input_max`.
pub fn new_job<H: Handler>(message: &H) -> Result<NewJob> {
    let args = message.to_json()?;
    if args.len() > H::META.input_bytes_max {
        let text = format!(
            "the arguments of `{}` are larger than {} bytes",
            H::META.wire_name(),
            H::META.input_bytes_max
        );
        return Err(Fault::new(Code::PayloadTooLarge, text)
            .with_details(serde_json::json!({ "bytesMax": H::META.input_bytes_max }))
            .with_help(remedy::INPUT_MAX));
    }
    let JobMeta { queue, priority, attempts, .. } = H::META.job_meta().unwrap_or(JobMeta::DEFAULT);
    Ok(NewJob {
        id: JobId::new(),
        name: H::META.wire_name(),
        queue: queue.to_owned(),
        priority: i16::from(priority),
        attempts_max: i32::try_from(attempts).unwrap_or(i32::MAX),
        after_secs: 0.0,
        run_at: None,
        args: Secret::new(String::from_utf8(args).map_err(Fault::internal)?),
    })
}

/// Writes the row in the transaction of `ctx`, and wakes the workers of its queue after the commit.
async fn insert(ctx: &MutationContext, job: &NewJob) -> Result<()> {
    let shared = &ctx.scope.shared;
    let identity = shared
        .invocation
        .caller
        .identity
        .as_deref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(Fault::internal)?;
    let trace = shared.invocation.trace.to_string();
    shared.services.jobs.insert(ctx.db(), job, identity, trace).await?;
    shared.after_commit.wake(&job.queue);
    Ok(())
}

/// Queues a job in a transaction of its own, for callers that have none. The size of the arguments was
/// checked against the job's own limit.
#[forge_app_macros::mutation(name = "forge.dispatch", internal, input_max = "1GiB")]
pub async fn enqueue(ctx: &MutationContext, job: NewJob) -> Result<()> {
    insert(ctx, &job).await
}
