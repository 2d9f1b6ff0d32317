//! `ctx.dispatch(message)`: a job becomes a row.
//!
//! In a mutation the row is part of its transaction, so that the job exists if and only if the mutation
//! committed. Actions, jobs and crons have no transaction, so there the insert is one of its own. Workers are
//! woken after the commit; a row whose hint gets lost is found by the next poll of its queue.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::app::call::CallableFrom;
use crate::app::context::{ActionContext, CronContext, Ctx, JobContext, MutationContext};
use crate::app::error::Result;
use crate::app::handler::{Handler, Meta};
use crate::app::job::{JobMeta, Priority};
use crate::app::job_handle::{JobHandle, follower};
use crate::app::job_key::{JobKeys, UniqueKey, UniqueRule};
use crate::app::kind::{Action, Cron, Job, Kind, Mutation};
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
/// Jobs that one statement inserts.
pub(super) const PART_MAX: usize = 1_000;

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
    /// As for [`dispatch`](Self::dispatch). In a mutation none of the jobs exists then; elsewhere a thousand
    /// at a time are committed together, and those before the failure exist.
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
    fn enqueue(ctx: &Ctx<Caller>, job: NewJob) -> BoxFuture<'_, Result<DispatchOutcome>>;

    /// Writes the rows of several jobs, in one transaction.
    #[doc(hidden)]
    fn enqueue_all(ctx: &Ctx<Caller>, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<JobId>>>;
}

impl DispatchableFrom<Mutation> for Job {
    fn enqueue(ctx: &MutationContext, job: NewJob) -> BoxFuture<'_, Result<DispatchOutcome>> {
        Box::pin(async move { insert(ctx, &job).await })
    }

    fn enqueue_all(ctx: &MutationContext, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<JobId>>> {
        Box::pin(async move { insert_all(ctx, &jobs).await })
    }
}

impl DispatchableFrom<Action> for Job {
    fn enqueue(ctx: &ActionContext, job: NewJob) -> BoxFuture<'_, Result<DispatchOutcome>> {
        Box::pin(enqueue_alone(ctx, job))
    }

    fn enqueue_all(ctx: &ActionContext, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<JobId>>> {
        Box::pin(async move { Ok(ctx.call(EnqueueTogether { jobs }).await?) })
    }
}

impl DispatchableFrom<Cron> for Job {
    fn enqueue(ctx: &CronContext, job: NewJob) -> BoxFuture<'_, Result<DispatchOutcome>> {
        Box::pin(enqueue_alone(ctx, job))
    }

    fn enqueue_all(ctx: &CronContext, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<JobId>>> {
        Box::pin(async move { Ok(ctx.call(EnqueueTogether { jobs }).await?) })
    }
}

impl DispatchableFrom<Self> for Job {
    fn enqueue(ctx: &JobContext, job: NewJob) -> BoxFuture<'_, Result<DispatchOutcome>> {
        Box::pin(enqueue_alone(ctx, job))
    }

    fn enqueue_all(ctx: &JobContext, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<JobId>>> {
        Box::pin(async move { Ok(ctx.call(EnqueueTogether { jobs }).await?) })
    }
}

impl MutationContext {
    /// Wakes the workers of this queue after the commit, for rows that were written by other means than
    /// `dispatch`.
    pub(crate) fn wake_workers(&self, queue: &str) {
        self.scope.shared.after_commit.wake(queue);
    }

    /// The job that runs the handler `name` with these stored arguments, in the name of `identity`.
    ///
    /// # Errors
    /// `CONFLICT` when this binary has no such job, `VALIDATION` when its handler refuses the arguments.
    pub(crate) fn job_by_name(
        &self,
        name: &str,
        args: String,
        identity: Option<&Identity>,
    ) -> Result<NewJob> {
        self.scope.shared.services.invoke.job_by_name(name, args, identity)
    }

    /// Writes the row of a job that `identity` dispatches, in the transaction of this call and with its
    /// trace, and wakes the workers of its queue after the commit.
    pub(crate) async fn dispatch_as(
        &self,
        job: &NewJob,
        identity: Option<&Identity>,
    ) -> Result<DispatchOutcome> {
        let shared = &self.scope.shared;
        let (json, trace) = origin(self, identity)?;
        let dispatched = shared.services.jobs.insert(self.db(), job, json, trace).await?;
        if job.followed {
            follow_as(self, dispatched.job(), identity).await?;
        }
        if job.wakes_claimers() {
            shared.after_commit.wake(&job.queue);
        }
        Ok(dispatched)
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

/// Dispatches a job from a call that has no transaction: with one statement where one is enough, and with a
/// mutation otherwise.
async fn enqueue_alone<K>(ctx: &Ctx<K>, job: NewJob) -> Result<DispatchOutcome>
where
    K: Kind,
    Mutation: CallableFrom<K>,
{
    if job.keys.expose().unique.is_none() && !job.followed {
        let (identity, trace) = origin(ctx, ctx.identity())?;
        if let Some(outcome) = ctx.scope.shared.services.jobs.insert_alone(&job, identity, trace).await? {
            return Ok(outcome);
        }
    }
    Ok(ctx.call(Enqueue { job }).await?)
}

/// The identity and the trace that a job carries which `ctx` dispatches in the name of `identity`.
pub(super) fn origin<K: Kind>(ctx: &Ctx<K>, identity: Option<&Identity>) -> Result<(Option<String>, String)> {
    let json = identity.map(serde_json::to_string).transpose().map_err(Fault::internal)?;
    Ok((json, ctx.scope.shared.invocation.trace.to_string()))
}

/// Dispatches a job in the name of the caller.
async fn insert(ctx: &MutationContext, job: &NewJob) -> Result<DispatchOutcome> {
    ctx.dispatch_as(job, ctx.identity()).await
}

/// As [`insert`], for jobs of one handler.
async fn insert_all(ctx: &MutationContext, jobs: &[NewJob]) -> Result<Vec<JobId>> {
    if jobs.iter().any(|job| job.keys.expose().unique.is_some()) {
        // In the order of their keys, so that two callers never wait for each other.
        let mut ordered: Vec<(usize, &NewJob)> = jobs.iter().enumerate().collect();
        ordered.sort_by_key(|(_, job)| job.keys.expose().unique.as_ref().map(|unique| unique.key.as_str()));
        let mut ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        for (index, job) in ordered {
            ids[index] = insert(ctx, job).await?.job();
        }
        return Ok(ids);
    }
    insert_together(ctx, jobs).await?;
    Ok(jobs.iter().map(|job| job.id).collect())
}

/// Writes the rows of jobs, none of which is unique, with one statement, and wakes the workers after the
/// commit.
pub(super) async fn insert_together(ctx: &MutationContext, jobs: &[NewJob]) -> Result<()> {
    let (identity, trace) = origin(ctx, ctx.identity())?;
    let shared = &ctx.scope.shared;
    shared.services.jobs.insert_all(ctx.db(), jobs, identity, trace).await?;
    jobs.iter().filter(|job| job.wakes_claimers()).for_each(|job| shared.after_commit.wake(&job.queue));
    Ok(())
}

/// Lets `identity` follow a job.
pub(super) async fn follow_as(ctx: &MutationContext, job: JobId, identity: Option<&Identity>) -> Result<()> {
    ctx.scope.shared.services.jobs.follow(ctx.db(), job, follower(identity)).await
}

/// Queues a job in a transaction of its own, for callers that have none. The size of the arguments was
/// checked against the job's own limit.
#[forge_app_macros::mutation(name = "forge.dispatch", internal, input_max = "1GiB")]
pub async fn enqueue(ctx: &MutationContext, job: NewJob) -> Result<DispatchOutcome> {
    insert(ctx, &job).await
}

/// As [`enqueue`], for several jobs.
#[forge_app_macros::mutation(name = "forge.dispatchAll", internal, input_max = "1GiB")]
pub async fn enqueue_together(ctx: &MutationContext, jobs: Vec<NewJob>) -> Result<Vec<JobId>> {
    insert_all(ctx, &jobs).await
}
