//! `ctx.dispatch(message)`: a job becomes a row.
//!
//! In a mutation the row is part of its transaction, so that the job exists if and only if the mutation
//! committed. Actions, jobs and crons have no transaction, so there the insert is one of its own. Workers are
//! woken after the commit; a row whose hint gets lost is found by the next poll of its queue.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::app::context::Ctx;
use crate::app::enqueue::{DispatchableFrom, PART_MAX};
use crate::app::error::Result;
use crate::app::handler::{Handler, Meta};
use crate::app::job::{JobMeta, Priority};
use crate::app::job_handle::JobHandle;
use crate::app::job_key::{JobKeys, UniqueKey, UniqueRule};
use crate::app::kind::Kind;
use crate::app::new_job::{DispatchOutcome, NewJob};
use crate::app::secret::Secret;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::invocation::Identity;
use crate::kernel::label::is_label;
use crate::kernel::remedy;
use crate::kernel::time::{Timestamp, days, millis};

/// The most attempts of a job, as in its attribute.
const ATTEMPTS_MAX: u32 = 1_000;
/// The bounds of an attempt's time limit, as in the attribute.
const TIMEOUT_MIN: Duration = millis(1);
const JOB_TIMEOUT_MAX: Duration = days(1);

/// Writes what is dispatched, from the context of the dispatching handler.
pub(super) type Enqueuer<'a, Jobs, Output> =
    Box<dyn FnOnce(Jobs) -> BoxFuture<'a, Result<Output>> + Send + 'a>;

/// A job about to be dispatched; awaiting this does it.
#[must_use = "a dispatch does nothing until it is awaited"]
pub struct Dispatch<'a, H> {
    job: Result<NewJob>,
    handler: PhantomData<fn() -> H>,
    unique: Option<UniqueRule>,
    enqueue: Enqueuer<'a, NewJob, DispatchOutcome>,
}

/// Jobs of one handler about to be dispatched; awaiting this does it.
#[must_use = "a dispatch does nothing until it is awaited"]
pub struct DispatchAll<'a> {
    jobs: Result<Vec<NewJob>>,
    enqueue: Enqueuer<'a, Vec<NewJob>, Vec<JobId>>,
}

impl<K: Kind> Ctx<K> {
    /// Queues a job, which carries the caller's identity and trace. Returns the id of the job.
    ///
    /// In a mutation the job exists if and only if the mutation commits. Actions and jobs have no
    /// transaction, so there the dispatch commits on its own.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the arguments are larger than the job's `input_max`. Outside of a mutation
    /// `OUTCOME_UNKNOWN` when the connection broke before the answer came: the job may exist.
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
    pub fn dispatch<H>(&self, message: H) -> Dispatch<'_, H>
    where
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        let unique = H::META.job_meta().and_then(|job| job.limits.unique).map(|unique| unique.rule);
        let job = new_job(&message, self.identity());
        let enqueue = Box::new(move |job| H::Kind::enqueue(self, job));
        Dispatch { job, handler: PhantomData, unique, enqueue }
    }

    /// Queues many jobs of one handler, a thousand in a statement. Returns their ids, in the order of the
    /// messages; of jobs with `unique`, each takes statements of its own.
    ///
    /// # Errors
    /// As for [`dispatch`](Self::dispatch). In a mutation none of the jobs exists then. Elsewhere a thousand
    /// at a time are committed together: those before the thousand that failed exist, and that thousand may
    /// exist when the error is `OUTCOME_UNKNOWN`.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn remind(_ctx: &JobContext, task: Uuid) -> Result<()> { Ok(()) }
    /// #[forge::mutation]
    /// pub async fn remind_all(ctx: &MutationContext, tasks: Vec<Uuid>) -> Result<u32> {
    ///     let jobs = ctx.dispatch_all(tasks.into_iter().map(|task| Remind { task })).await?;
    ///     Ok(jobs.len() as u32)
    /// }
    /// # fn main() {}
    /// ```
    pub fn dispatch_all<H>(&self, messages: impl IntoIterator<Item = H>) -> DispatchAll<'_>
    where
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        let jobs = messages.into_iter().map(|message| new_job(&message, self.identity())).collect();
        DispatchAll { jobs, enqueue: Box::new(move |jobs| Box::pin(enqueue_all::<H, K>(self, jobs))) }
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        self.scope.shared.invocation.caller.identity.as_deref()
    }
}

/// Enqueues jobs in parts that one statement takes.
async fn enqueue_all<H, K>(ctx: &Ctx<K>, jobs: Vec<NewJob>) -> Result<Vec<JobId>>
where
    K: Kind,
    H: Handler,
    H::Kind: DispatchableFrom<K>,
{
    let (mut jobs, mut ids) = (jobs.into_iter(), Vec::new());
    loop {
        let part: Vec<NewJob> = jobs.by_ref().take(PART_MAX).collect();
        if part.is_empty() {
            return Ok(ids);
        }
        ids.extend(H::Kind::enqueue_all(ctx, part).await?);
    }
}

impl<'a, H> Dispatch<'a, H> {
    /// The dispatch, with another way to write the job.
    pub(super) fn enqueued_by(self, enqueue: Enqueuer<'a, NewJob, DispatchOutcome>) -> Self {
        Self { enqueue, ..self }
    }

    /// Lets the job wait for this time at least, by the database's clock; a hundred years at most. Takes the
    /// place of [`at`](Self::at).
    pub fn after(self, delay: Duration) -> Self {
        self.change(|job| job.wait_for(delay))
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
        self.change(|job| job.wait_until(moment))
    }

    /// Gives the job this priority in place of its handler's.
    pub fn priority(self, priority: Priority) -> Self {
        self.change(|job| job.priority = i16::from(priority.level()))
    }

    /// Gives the job so many attempts in place of its handler's: 1 to 1,000, the nearest of these otherwise.
    pub fn attempts(self, attempts: u32) -> Self {
        self.change(|job| job.attempts_max = attempts.clamp(1, ATTEMPTS_MAX).cast_signed())
    }

    /// Lets an attempt take this long in place of its handler's time limit: a day at most.
    pub fn timeout(self, limit: Duration) -> Self {
        let limit = limit.clamp(TIMEOUT_MIN, JOB_TIMEOUT_MAX);
        self.change(|job| job.timeout_ms = u32::try_from(limit.as_millis()).ok())
    }

    /// Lets the job wait in this queue in place of its handler's. Nodes find a new queue within
    /// `jobs.poll_interval`.
    ///
    /// # Errors
    /// Awaiting the dispatch fails with `INTERNAL` when the name is not 1 to 64 of the characters a-z, 0-9,
    /// `_`, `.` and `-`.
    pub fn queue(mut self, queue: &str) -> Self {
        if !is_label(queue) {
            let text =
                format!("`{queue}` names no queue: 1 to 64 of the characters a-z, 0-9, `_`, `.` and `-` do");
            self.job = self.job.and(Err(Fault::internal(text)));
        }
        self.change(|job| queue.clone_into(&mut job.queue))
    }

    /// Makes the dispatch unique: another one of the same handler with this key finds the first one's job.
    /// What it then does is the handler's `unique` or `debounce`; a handler without them has one job with the
    /// key until it is finished.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn charge(_ctx: &JobContext, order: Uuid) -> Result<()> { Ok(()) }
    /// #[forge::mutation]
    /// pub async fn pay(ctx: &MutationContext, order: Uuid) -> Result<JobId> {
    ///     ctx.dispatch(Charge { order }).key(&order.to_string()).await
    /// }
    /// # fn main() {}
    /// ```
    pub fn key(self, key: &str) -> Self {
        let rule = self.unique;
        self.change(|job| {
            let unique = Some(UniqueKey::named(&job.name, key, rule));
            job.keys = Secret::new(JobKeys { unique, ..job.keys.expose().clone() });
        })
    }

    /// Dispatches, and says whether a job was made or one with the same key was found.
    ///
    /// # Errors
    /// As for [`Ctx::dispatch`].
    pub async fn outcome(self) -> Result<DispatchOutcome> {
        (self.enqueue)(self.job?).await
    }

    /// Dispatches, and returns a handle with which the caller follows the job: in the browser with
    /// `useJob(handle)`. A dispatch that finds a job with the same key has its caller follow that one.
    ///
    /// Followed jobs cost two statements more, at the dispatch and at the end; others cost nothing.
    ///
    /// # Errors
    /// As for [`Ctx::dispatch`].
    pub async fn handle(self) -> Result<JobHandle<H>> {
        let followed = NewJob { followed: true, ..self.job? };
        Ok(JobHandle::of((self.enqueue)(followed).await?.job()))
    }

    fn change(mut self, change: impl FnOnce(&mut NewJob)) -> Self {
        if let Ok(job) = &mut self.job {
            change(job);
        }
        self
    }
}

impl DispatchAll<'_> {
    /// As [`Dispatch::after`], for each of the jobs.
    pub fn after(self, delay: Duration) -> Self {
        self.change(|job| job.wait_for(delay))
    }

    /// As [`Dispatch::at`], for each of the jobs.
    pub fn at(self, moment: Timestamp) -> Self {
        self.change(|job| job.wait_until(moment))
    }

    /// As [`Dispatch::priority`], for each of the jobs.
    pub fn priority(self, priority: Priority) -> Self {
        self.change(|job| job.priority = i16::from(priority.level()))
    }

    fn change(mut self, change: impl Fn(&mut NewJob)) -> Self {
        self.jobs.iter_mut().flatten().for_each(change);
        self
    }
}

impl<'a, H: 'a> IntoFuture for Dispatch<'a, H> {
    type Output = Result<JobId>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.outcome().await?.job()) })
    }
}

impl<'a> IntoFuture for DispatchAll<'a> {
    type Output = Result<Vec<JobId>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { (self.enqueue)(self.jobs?).await })
    }
}

/// The job that runs `message`, dispatched by `identity`.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` when the arguments are larger than the job's `input_max`.
pub fn new_job<H: Handler>(message: &H, identity: Option<&Identity>) -> Result<NewJob> {
    let args = String::from_utf8(message.to_json()?).map_err(Fault::internal)?;
    job_of(&H::META, args, identity)
}

/// The job that runs the handler of `meta` with these arguments, dispatched by `identity`.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` when the arguments are larger than the job's `input_max`.
pub(crate) fn job_of(meta: &Meta, args: String, identity: Option<&Identity>) -> Result<NewJob> {
    let bytes_max = meta.input_bytes_max;
    if args.len() > bytes_max {
        let text = format!("the arguments of `{}` are larger than {bytes_max} bytes", meta.wire_name());
        return Err(Fault::new(Code::PayloadTooLarge, text)
            .with_details(serde_json::json!({ "bytesMax": bytes_max }))
            .with_help(remedy::INPUT_MAX));
    }
    let name = meta.wire_name();
    let JobMeta { queue, priority, attempts, limits, .. } = meta.job_meta().unwrap_or(JobMeta::DEFAULT);
    Ok(NewJob {
        id: JobId::new(),
        keys: Secret::new(JobKeys::of(&limits, &name, &args, identity)?),
        name,
        queue: queue.to_owned(),
        priority: i16::from(priority),
        attempts_max: i32::try_from(attempts).unwrap_or(i32::MAX),
        after_secs: 0.0,
        run_at: None,
        timeout_ms: None,
        followed: false,
        awaited: false,
        args: Secret::new(args),
    })
}
