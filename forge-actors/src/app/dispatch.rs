//! `ctx.dispatch(message)`: a job becomes a row.
//!
//! In a mutation the row is part of its transaction, so that the job exists if and only if the mutation
//! committed. Actions and jobs have none, so there it is a mutation of its own. Workers are woken after the
//! commit; a row whose hint gets lost is found by their next look.

use std::future::IntoFuture;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::app::context::{Ctx, MutationContext};
use crate::app::error::Result;
use crate::app::handler::Handler;
use crate::app::job::JobMeta;
use crate::app::kind::{Job, Kind, MayDispatch};
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;

/// A job about to be dispatched; awaiting it does it.
#[must_use = "a dispatch does nothing until it is awaited"]
pub struct Dispatch<'a, K: Kind, H> {
    ctx: &'a Ctx<K>,
    message: H,
    after: Duration,
}

impl<K: Kind> Ctx<K> {
    /// Queues a job. It carries the caller's identity and trace.
    ///
    /// ```no_run
    /// # use forge_actors::app::{Handler, Job, MutationContext, Result};
    /// # async fn example<Remind: Handler<Kind = Job>>(ctx: &MutationContext, remind: Remind) -> Result<()> {
    /// let job = ctx.dispatch(remind).after(forge_actors::prelude::minutes(5)).await?;
    /// # Ok(()) }
    /// ```
    pub fn dispatch<H: Handler<Kind = Job>>(&self, message: H) -> Dispatch<'_, K, H>
    where
        K: MayDispatch,
    {
        Dispatch { ctx: self, message, after: Duration::ZERO }
    }
}

impl<K: Kind, H> Dispatch<'_, K, H> {
    /// Not before this time has passed, by the database's clock.
    pub fn after(self, delay: Duration) -> Self {
        Self { after: delay, ..self }
    }
}

impl<'a, K: MayDispatch, H: Handler<Kind = Job>> IntoFuture for Dispatch<'a, K, H> {
    type Output = Result<JobId>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { ctx, message, after } = self;
        let job = NewJob::of(&message, after);
        // Only the row is wanted from here on; the message need not be `Sync`.
        drop(message);
        Box::pin(async move {
            let job = job?;
            let id = job.id;
            match &ctx.db {
                Some(_) => job.insert(ctx).await?,
                None => ctx.call(Enqueue { job }).await?,
            }
            Ok(id)
        })
    }
}

impl MutationContext {
    /// Workers look into this queue after the commit: for rows that were written by other means than
    /// `dispatch`.
    pub(crate) fn wake_workers(&self, queue: &str) {
        self.scope.shared.effects.wake(queue);
    }
}

/// Inserts dispatched jobs into their table. The job subsystem implements it, so that contexts need not import
/// that subsystem.
pub trait InsertJob: Send + Sync + 'static {
    /// Inserts `job` with one statement on `db`, the transaction of the dispatching call. `identity` is the JSON
    /// of the caller's identity, `trace` the `traceparent` of the call.
    fn insert<'a>(
        &'a self,
        db: &'a Db,
        job: &'a NewJob,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<()>>;
}

/// A job that is about to be inserted.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Wire name of its handler.
    pub name: String,
    /// The queue it will wait in.
    pub queue: String,
    /// 0 to 100; within a queue larger ones run first.
    pub priority: i16,
    /// Attempts until it is a dead letter.
    pub attempts_max: i32,
    /// Seconds until it may run.
    pub after_secs: f64,
    /// The arguments object, as JSON.
    pub args: String,
}

impl NewJob {
    fn of<H: Handler<Kind = Job>>(message: &H, after: Duration) -> Result<Self> {
        let args = serde_json::to_string(message).map_err(Fault::internal)?;
        if args.len() > H::META.input_bytes_max {
            let text = format!(
                "the arguments of `{}` are larger than {} bytes",
                H::META.wire_name(),
                H::META.input_bytes_max
            );
            return Err(Fault::new(Code::PayloadTooLarge, text));
        }
        let JobMeta { queue, priority, attempts, .. } = H::META.job.unwrap_or(JobMeta::DEFAULT);
        Ok(Self {
            id: JobId::new(),
            name: H::META.wire_name(),
            queue: queue.to_owned(),
            priority: i16::from(priority),
            attempts_max: i32::try_from(attempts).unwrap_or(i32::MAX),
            after_secs: after.as_secs_f64(),
            args,
        })
    }

    /// Writes the row in the transaction of `ctx`, and notes its queue for after the commit.
    async fn insert<K: Kind>(&self, ctx: &Ctx<K>) -> Result<()> {
        let shared = &ctx.scope.shared;
        let identity = shared
            .invocation
            .caller
            .identity
            .as_deref()
            .map(serde_json::to_string)
            .transpose()
            .map_err(Fault::internal)?;
        let db =
            ctx.db.as_ref().ok_or_else(|| Fault::internal("a job was inserted outside of a transaction"))?;
        shared.services.jobs.insert(db, self, identity, shared.invocation.trace.to_string()).await?;
        shared.effects.wake(&self.queue);
        Ok(())
    }
}

/// Queues a job in a transaction of its own, for callers that have none. The size of the arguments was
/// checked against the job's own limit.
#[forge_app_macros::mutation(name = "forge.dispatch", internal, input_max = "1GiB")]
pub async fn enqueue(ctx: &MutationContext, job: NewJob) -> Result<()> {
    job.insert(ctx).await
}
