//! How dispatched jobs come into their table: in the transaction of a mutation, or from a call that has none.

use futures::future::BoxFuture;

use crate::app::call::CallableFrom;
use crate::app::context::{ActionContext, CronContext, Ctx, JobContext, MutationContext};
use crate::app::error::Result;
use crate::app::follower::follower;
use crate::app::kind::{Action, Cron, Job, Kind, Mutation};
use crate::app::new_job::{DispatchOutcome, NewJob};
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::invocation::Identity;

/// Jobs that one statement inserts.
pub(super) const PART_MAX: usize = 1_000;

/// Which kind may be dispatched from which: jobs, from whatever may write.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Caller}>` cannot dispatch a handler of kind `{Self}`",
    label = "no `dispatch()` of this here",
    note = "only jobs are dispatched; mutations, actions, jobs, crons and workflows dispatch them, a query \
            only reads and a dispatched job is a row"
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
        Box::pin(enqueue_many_alone(ctx, jobs))
    }
}

impl DispatchableFrom<Cron> for Job {
    fn enqueue(ctx: &CronContext, job: NewJob) -> BoxFuture<'_, Result<DispatchOutcome>> {
        Box::pin(enqueue_alone(ctx, job))
    }

    fn enqueue_all(ctx: &CronContext, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<JobId>>> {
        Box::pin(enqueue_many_alone(ctx, jobs))
    }
}

impl DispatchableFrom<Self> for Job {
    fn enqueue(ctx: &JobContext, job: NewJob) -> BoxFuture<'_, Result<DispatchOutcome>> {
        Box::pin(enqueue_alone(ctx, job))
    }

    fn enqueue_all(ctx: &JobContext, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<JobId>>> {
        Box::pin(enqueue_many_alone(ctx, jobs))
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

/// As [`enqueue_alone`], for several jobs of one handler. Without a mutation they are not turned into JSON
/// and back, which took as long as their statement.
async fn enqueue_many_alone<K>(ctx: &Ctx<K>, jobs: Vec<NewJob>) -> Result<Vec<JobId>>
where
    K: Kind,
    Mutation: CallableFrom<K>,
{
    if jobs.iter().all(|job| job.keys.expose().unique.is_none() && !job.followed) {
        let (identity, trace) = origin(ctx, ctx.identity())?;
        if ctx.scope.shared.services.jobs.insert_many_alone(&jobs, identity, trace).await? {
            return Ok(jobs.iter().map(|job| job.id).collect());
        }
    }
    Ok(ctx.call(EnqueueTogether { jobs }).await?)
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
    shared.services.jobs.insert_many(ctx.db(), jobs, identity, trace).await?;
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
