//! Jobs that wait for jobs, dispatched together: a batch with a job at its end, a chain of jobs.

use std::future::IntoFuture;
use std::marker::PhantomData;

use futures::future::BoxFuture;

use crate::app::context::{ActionContext, CronContext, Ctx, JobContext, MutationContext};
use crate::app::dispatch::new_job;
use crate::app::enqueue::{DispatchableFrom, PART_MAX, follow_as, insert_together};
use crate::app::error::Result;
use crate::app::handler::Handler;
use crate::app::job::DependencyKind;
use crate::app::job_handle::JobHandle;
use crate::app::job_key::JobKeys;
use crate::app::kind::{Action, Cron, Job, Kind, Mutation};
use crate::app::new_job::{JobPlan, NewDependency, NewJob};
use crate::app::secret::Secret;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::Identity;
use crate::kernel::limits::{JOB_CHAIN_MAX, JOB_DEPENDENCIES_MAX};

/// The members of a batch about to be dispatched; [`then`](JobBatch::then) does it.
#[must_use = "a batch does nothing until `then` gives it its last job"]
pub struct JobBatch<'a, K: Kind> {
    ctx: &'a Ctx<K>,
    members: Result<Vec<NewJob>>,
}

/// A chain about to be dispatched, whose last job is one of `H`; awaiting this does it.
#[must_use = "a chain does nothing until it is awaited"]
pub struct JobChain<'a, H, K: Kind> {
    ctx: &'a Ctx<K>,
    steps: Result<Vec<NewJob>>,
    last: PhantomData<fn() -> H>,
}

impl<K: PlansJobs> Ctx<K> {
    /// A batch: jobs of one handler that run independently of each other, and a job that runs when all of
    /// them have ended, also when some have ended without success. Its handler counts them with
    /// `ctx.waited_counts()` and reads what they returned with `ctx.waited_results::<H>()`.
    ///
    /// A batch may have no members: then its last job runs at once.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn render(_ctx: &JobContext, page: u32) -> Result<u32> { Ok(page) }
    /// #[forge::job]
    /// pub async fn bind(ctx: &JobContext, book: Uuid) -> Result<u32> {
    ///     let counts = ctx.waited_counts().await?;
    ///     ctx.log.with("book", book).info(format!("{} pages failed", counts.failed));
    ///     Ok(counts.completed)
    /// }
    ///
    /// #[forge::mutation]
    /// pub async fn print(ctx: &MutationContext, book: Uuid, pages: u32) -> Result<JobHandle<Bind>> {
    ///     ctx.batch((1..=pages).map(|page| Render { page })).then(Bind { book }).await
    /// }
    /// # fn main() {}
    /// ```
    pub fn batch<H>(&self, members: impl IntoIterator<Item = H>) -> JobBatch<'_, K>
    where
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        JobBatch { ctx: self, members: Ok(Vec::new()) }.and(members)
    }

    /// A chain: each job runs when the one before has succeeded. When one ends without success, those after
    /// it end as `cancelled`; they wait again when a person tries that one again.
    ///
    /// A job of a chain reads what the one before has returned with `ctx.waited_results::<H>()`.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn fetch(_ctx: &JobContext, feed: Uuid) -> Result<()> { Ok(()) }
    /// # #[forge::job]
    /// # pub async fn index(_ctx: &JobContext, feed: Uuid) -> Result<u32> { Ok(1) }
    /// #[forge::mutation]
    /// pub async fn import(ctx: &MutationContext, feed: Uuid) -> Result<JobHandle<Index>> {
    ///     ctx.chain(Fetch { feed }).then(Index { feed }).await
    /// }
    /// # fn main() {}
    /// ```
    pub fn chain<H>(&self, first: H) -> JobChain<'_, H, K>
    where
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        JobChain::<H, K> { ctx: self, steps: Ok(Vec::new()), last: PhantomData }.then(first)
    }

    pub(super) fn planned<H: Handler>(&self, message: &H) -> Result<NewJob> {
        planned_job(message, self.identity())
    }
}

/// A job that others wait for, or that waits. Whether its handler is unique is left aside: the jobs of a
/// plan, and one whose end a workflow waits for, belong to those.
pub(super) fn planned_job<H: Handler>(message: &H, identity: Option<&Identity>) -> Result<NewJob> {
    let job = new_job(message, identity)?;
    let keys = JobKeys { unique: None, ..job.keys.into_exposed() };
    Ok(NewJob { keys: Secret::new(keys), ..job })
}

impl<'a, K: PlansJobs> JobBatch<'a, K> {
    /// Adds members, of another handler perhaps.
    pub fn and<H>(mut self, members: impl IntoIterator<Item = H>) -> Self
    where
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        for message in members {
            // One too many is enough to refuse the batch.
            if self.members.as_ref().is_ok_and(|members| members.len() > JOB_DEPENDENCIES_MAX) {
                break;
            }
            let member = self.ctx.planned(&message).map(NewJob::awaited);
            match (&mut self.members, member) {
                (Ok(members), Ok(member)) => members.push(member),
                (Ok(_), Err(fault)) => self.members = Err(fault),
                (Err(_), _) => break,
            }
        }
        self
    }

    /// Dispatches the batch with its last job, of which the handle is returned: the caller follows it.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when arguments are larger than the `input_max` of their handler,
    /// `INTERNAL` for more than 10,000 members. No job exists then.
    pub fn then<H>(self, last: H) -> BoxFuture<'a, Result<JobHandle<H>>>
    where
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        let Self { ctx, members } = self;
        let last = ctx.planned(&last);
        Box::pin(async move {
            let last = NewJob { followed: true, ..last? };
            let handle = JobHandle::of(last.id);
            let mut jobs = members?;
            check_count(jobs.len(), JOB_DEPENDENCIES_MAX, "batch (without its last job)")?;
            let dependencies = NewDependency::of(last.id, DependencyKind::Member, 0, &jobs);
            jobs.push(last);
            K::enqueue_plan(ctx, JobPlan { jobs, dependencies }).await?;
            Ok(handle)
        })
    }
}

impl<'a, H, K: PlansJobs> JobChain<'a, H, K> {
    /// Adds a job, which runs when the one before has succeeded.
    pub fn then<N>(self, next: N) -> JobChain<'a, N, K>
    where
        N: Handler,
        N::Kind: DispatchableFrom<K>,
    {
        let Self { ctx, steps, .. } = self;
        let steps = steps.and_then(|mut steps| {
            steps.push(ctx.planned(&next)?);
            Ok(steps)
        });
        JobChain { ctx, steps, last: PhantomData }
    }
}

impl<'a, H: 'a, K: PlansJobs> IntoFuture for JobChain<'a, H, K> {
    type Output = Result<JobHandle<H>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { ctx, steps, .. } = self;
        Box::pin(async move {
            let mut steps = steps?;
            check_count(steps.len(), JOB_CHAIN_MAX, "chain")?;
            let last = steps.pop().ok_or_else(|| Fault::internal("a chain has a first job"))?;
            let handle = JobHandle::of(last.id);
            let mut jobs: Vec<NewJob> = steps.into_iter().map(NewJob::awaited).collect();
            jobs.push(NewJob { followed: true, ..last });
            let dependencies = jobs
                .array_windows()
                .flat_map(|[before, after]| {
                    NewDependency::of(after.id, DependencyKind::Step, 0, std::slice::from_ref(before))
                })
                .collect();
            K::enqueue_plan(ctx, JobPlan { jobs, dependencies }).await?;
            Ok(handle)
        })
    }
}

fn check_count(count: usize, max: usize, what: &str) -> Result<()> {
    if count > max {
        return Err(Fault::internal(format!("a {what} has at most {max} jobs")).without_retry());
    }
    Ok(())
}

/// The kinds that dispatch jobs which wait for each other.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` dispatches no jobs",
    label = "no batches and no chains here",
    note = "mutations, actions, jobs and crons dispatch jobs; a query only reads"
)]
pub trait PlansJobs: Kind {
    /// Writes the rows of a plan: in the transaction of `ctx`, or in one of its own.
    #[doc(hidden)]
    fn enqueue_plan(ctx: &Ctx<Self>, plan: JobPlan) -> BoxFuture<'_, Result<()>>;
}

impl PlansJobs for Mutation {
    fn enqueue_plan(ctx: &MutationContext, plan: JobPlan) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { insert_plan(ctx, &plan).await })
    }
}

impl PlansJobs for Action {
    fn enqueue_plan(ctx: &ActionContext, plan: JobPlan) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { Ok(ctx.call(EnqueuePlan { plan }).await?) })
    }
}

impl PlansJobs for Job {
    fn enqueue_plan(ctx: &JobContext, plan: JobPlan) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { Ok(ctx.call(EnqueuePlan { plan }).await?) })
    }
}

impl PlansJobs for Cron {
    fn enqueue_plan(ctx: &CronContext, plan: JobPlan) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { Ok(ctx.call(EnqueuePlan { plan }).await?) })
    }
}

/// Writes the rows of a plan in the transaction of `ctx`, and wakes the workers after the commit.
pub(super) async fn insert_plan(ctx: &MutationContext, plan: &JobPlan) -> Result<()> {
    for part in plan.jobs.chunks(PART_MAX) {
        insert_together(ctx, part).await?;
    }
    let services = &ctx.scope.shared.services;
    services.jobs.depend(ctx.db(), &plan.dependencies).await?;
    for job in plan.jobs.iter().filter(|job| job.followed) {
        follow_as(ctx, job.id, ctx.identity()).await?;
    }
    Ok(())
}

/// Queues the jobs of a plan in a transaction of its own, for callers that have none. The sizes of the
/// arguments were checked against the limits of their handlers.
#[forge_app_macros::mutation(name = "forge.dispatchPlan", internal, input_max = "1GiB")]
pub async fn enqueue_plan(ctx: &MutationContext, plan: JobPlan) -> Result<()> {
    insert_plan(ctx, &plan).await
}
