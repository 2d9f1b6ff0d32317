//! Jobs that a job waits for: its children, and those of the batch or the chain that it ends.
//!
//! A job that waits for its children is *suspended*: it gives its worker back, and its handler begins anew
//! when all of them have ended. The children are written in the transaction that suspends the job, so that
//! either the job waits for all of them or none exists. In the next run, the calls that dispatched them find
//! them again, one by one in the same order, and the wait is over.

use std::sync::Arc;
use std::time::Instant;

use crate::app::context::{Ctx, MutationContext};
use crate::app::enqueue::DispatchableFrom;
use crate::app::error::{CallError, Result};
use crate::app::handler::Handler;
use crate::app::job::{DependencyKind, JobStatus, WaitedJob};
use crate::app::job_handle::JobHandle;
use crate::app::job_outcome::{JobOutcome, outcome_of};
use crate::app::job_plan::{PlansJobs, insert_plan};
use crate::app::kind::{JobResources, MutationResources, RunsAsJob};
use crate::app::new_job::{JobPlan, NewDependency};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::limits::JOB_DEPENDENCIES_MAX;

/// How the jobs have ended that a job has waited for.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitedCounts {
    /// Their handlers have succeeded.
    pub completed: u32,
    /// They have ended as `failed` or `dead_letter`.
    pub failed: u32,
    /// They were cancelled.
    pub cancelled: u32,
    /// They have not ended.
    pub open: u32,
}

impl WaitedCounts {
    /// Counts jobs by how they have ended; `None` is open.
    pub(crate) fn of(ended: impl Iterator<Item = Option<JobStatus>>) -> Self {
        let mut counts = Self::default();
        for status in ended {
            let count = match status {
                Some(JobStatus::Completed) => &mut counts.completed,
                Some(JobStatus::Failed | JobStatus::DeadLetter) => &mut counts.failed,
                Some(JobStatus::Cancelled) => &mut counts.cancelled,
                Some(JobStatus::Pending | JobStatus::Claimed | JobStatus::Running | JobStatus::Retry)
                | None => &mut counts.open,
            };
            *count += 1;
        }
        counts
    }
}

impl<K: RunsAsJob + PlansJobs> Ctx<K> {
    /// Prepares a child of this job. It is inserted when [`wait_for_jobs`](Self::wait_for_jobs) suspends the
    /// job, and not before. In the run after the wait, and in each later attempt, the call returns the same
    /// child again, whatever its arguments are then: a handler dispatches its children in the same order in
    /// each run. `unique` of the child's handler does not apply.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the arguments are larger than the `input_max` of the child's
    /// handler; `INTERNAL` for more than 10,000 children, and when the former run has dispatched a child of
    /// another handler here.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn resize(_ctx: &JobContext, width: u32) -> Result<Uuid> { Ok(Uuid::nil()) }
    /// #[forge::job]
    /// pub async fn publish(ctx: &JobContext) -> Result<Uuid> {
    ///     let small = ctx.dispatch_child(Resize { width: 200 }).await?;
    ///     let large = ctx.dispatch_child(Resize { width: 1_000 }).await?;
    ///     ctx.wait_for_jobs().await?;                    // gives the worker back; the handler begins anew
    ///     ctx.result(small).await?;
    ///     Ok(ctx.result(large).await?)
    /// }
    /// # fn main() {}
    /// ```
    pub async fn dispatch_child<H>(&self, message: H) -> Result<JobHandle<H>>
    where
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        let known = self.children().await?;
        let children = &K::job(&self.resources).children;
        let index = children.next_index();
        let Some(child) = known.get(index) else {
            if index >= JOB_DEPENDENCIES_MAX {
                let text = format!("a job waits for at most {JOB_DEPENDENCIES_MAX} children");
                return Err(Fault::internal(text).without_retry());
            }
            let job = self.planned(&message)?.awaited();
            let handle = JobHandle::of(job.id);
            children.add(job);
            return Ok(handle);
        };
        let name = H::META.wire_name();
        if !H::META.is_named(&child.name) {
            return Err(Fault::internal(format!(
                "child {} of this job is one of `{}`, as its former run has dispatched it, and not of \
                 `{name}`: a handler dispatches the same children in each run",
                index + 1,
                child.name
            ))
            .without_retry());
        }
        Ok(JobHandle::of(child.job))
    }

    /// Waits for the children that were dispatched: the worker is given back, no attempt is spent, and the
    /// handler begins anew when all of them have ended. In that run the call returns at once. So what stands
    /// before it runs again, as with every attempt.
    ///
    /// When the job is cancelled meanwhile, children that wait end with it, and those that a node has claimed
    /// run on.
    ///
    /// # Errors
    /// Always in the run that suspends the job: return the error with `?`, and do not catch it.
    /// `CONFLICT` when another attempt has taken the job over; then no child exists.
    pub async fn wait_for_jobs(&self) -> Result<()> {
        let known = self.children().await?;
        let JobResources { attempt, children, .. } = K::job(&self.resources);
        let jobs = children.new_jobs();
        let is_open = known.iter().any(|child| child.ended.is_none());
        if jobs.is_empty() && !is_open {
            return Ok(());
        }
        let limit = self.scope.shared.deadline.saturating_duration_since(Instant::now());
        let (scope, tx) = (self.scope.deeper()?, attempt.begin(limit).await?);
        let ctx = MutationContext::new(scope, MutationResources { db: tx.db() });
        let waiter = attempt.attempt().job;
        let dependencies = NewDependency::of(waiter, DependencyKind::Child, children.numbers_used(), &jobs);
        if let Err(fault) = insert_plan(&ctx, &JobPlan { jobs, dependencies }).await {
            tx.rollback().await;
            return Err(fault);
        }
        attempt.suspend(tx, self.scope.shared.after_commit.take_queues()).await?;
        children.written();
        Err(Fault::suspended())
    }

    /// Dispatches a child for each message, waits for them, and returns what they returned, in the order of
    /// the messages. It is [`dispatch_child`](Self::dispatch_child), [`wait_for_jobs`](Self::wait_for_jobs)
    /// and [`result`](Self::result) in one.
    ///
    /// # Errors
    /// As those; what the children failed with is in the list.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::job]
    /// # pub async fn render(_ctx: &JobContext, page: u32) -> Result<u32> { Ok(page) }
    /// #[forge::job]
    /// pub async fn book(ctx: &JobContext, pages: u32) -> Result<u32> {
    ///     let rendered = ctx.join((1..=pages).map(|page| Render { page })).await?;
    ///     let mut sum = 0;
    ///     for page in rendered {
    ///         sum += page?;
    ///     }
    ///     Ok(sum)
    /// }
    /// # fn main() {}
    /// ```
    pub async fn join<H>(
        &self,
        messages: impl IntoIterator<Item = H, IntoIter: Send> + Send,
    ) -> Result<Vec<JobOutcome<H>>>
    where
        H: Handler,
        H::Kind: DispatchableFrom<K>,
    {
        let mut children = Vec::new();
        for message in messages {
            children.push(self.dispatch_child(message).await?.id());
        }
        self.wait_for_jobs().await?;
        self.outcomes::<H>(&children).await
    }

    /// What a job has returned that this one has waited for.
    ///
    /// # Errors
    /// [`CallError::App`] is the own error of the job's handler, [`CallError::Fault`] any other
    /// reason for which it has ended without success. `NOT_FOUND` when it has not ended, or its history is
    /// deleted.
    pub async fn result<H: Handler>(&self, job: JobHandle<H>) -> JobOutcome<H> {
        let known = self.children().await.map_err(CallError::Fault)?;
        let is_own = |jobs: &[WaitedJob]| {
            jobs.iter().any(|waited| waited.job == job.id() && H::META.is_named(&waited.name))
        };
        // Of others a handle, which may come from a client, says nothing.
        if !is_own(&known) {
            let waited = K::job(&self.resources).attempt.waited().await.map_err(CallError::Fault)?;
            if !is_own(&waited) {
                return Err(CallError::Fault(missing(job.id())));
            }
        }
        let outcomes = self.outcomes::<H>(&[job.id()]).await.map_err(CallError::Fault)?;
        outcomes.into_iter().next().unwrap_or_else(|| Err(CallError::Fault(missing(job.id()))))
    }

    /// The results of those jobs of the handler `H` that this job has waited for, in the order of their
    /// dispatch: its children, the members of the batch that it ends, or the job before it in its chain.
    ///
    /// # Errors
    /// When the database fails; what the jobs failed with is in the list.
    pub async fn waited_results<H: Handler>(&self) -> Result<Vec<JobOutcome<H>>> {
        let waited = K::job(&self.resources).attempt.waited().await?;
        let of_handler = waited.iter().filter(|job| H::META.is_named(&job.name));
        let jobs: Vec<JobId> = of_handler.map(|job| job.job).collect();
        self.outcomes::<H>(&jobs).await
    }

    /// How the jobs have ended that this job has waited for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waited_counts(&self) -> Result<WaitedCounts> {
        let waited = K::job(&self.resources).attempt.waited().await?;
        Ok(WaitedCounts::of(waited.into_iter().map(|job| job.ended)))
    }

    /// The children of former runs.
    async fn children(&self) -> Result<Arc<[WaitedJob]>> {
        let JobResources { attempt, children, .. } = K::job(&self.resources);
        if let Some(known) = children.known() {
            return Ok(known);
        }
        Ok(children.found(attempt.waited().await?))
    }

    async fn outcomes<H: Handler>(&self, jobs: &[JobId]) -> Result<Vec<JobOutcome<H>>> {
        let mut ends = K::job(&self.resources).attempt.ends(jobs).await?;
        let outcome = |job: &JobId| match ends.remove(job) {
            Some(end) => outcome_of::<H>(end),
            None => Err(CallError::Fault(missing(*job))),
        };
        Ok(jobs.iter().map(outcome).collect())
    }
}

fn missing(job: JobId) -> Fault {
    Fault::new(
        Code::NotFound,
        format!(
            "the job {job} has not ended (`ctx.wait_for_jobs()` waits for it), or its history is deleted"
        ),
    )
}
