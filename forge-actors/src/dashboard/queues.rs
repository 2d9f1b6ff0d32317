//! `forge.queues`, `forge.jobWaits`, `forge.pauseQueue`, `forge.resumeQueue`, `forge.limitQueue`: the queues
//! of the whole database, how long their jobs wait, and their settings.

use crate::app::{MutationContext, QueryContext, Result};
use crate::dashboard::audit::{AuditId, CompleteAudit, RecordAudit};
use crate::job::WORKER_ROLE;
use crate::job::admin::{self, JobWaits, QueueRow, QueuesPage};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::node::WorkerInfo;

/// The largest limit of a queue.
const CONCURRENCY_MAX: u32 = 1_000_000;

/// Every queue with what waits in it, what is held of it, and its settings. Numbers are exact up to some
/// thousands.
#[forge_app_macros::query(name = "forge.queues", role = "admin", refresh = "2s")]
pub async fn queues(ctx: &QueryContext) -> Result<QueuesPage> {
    let (workers, handlers) = (live_workers(ctx).await?, ctx.job_handlers());
    Ok(QueuesPage {
        at: chrono::Utc::now(),
        queues: admin::queues(ctx.db(), &workers, &handlers).await?,
        workers: u32::try_from(workers.len()).unwrap_or(u32::MAX),
        handlers: handlers.to_vec(),
    })
}

/// How long the due jobs of a queue, or of all, have waited for a worker, in fixed buckets.
#[forge_app_macros::query(name = "forge.jobWaits", role = "admin", refresh = "5s")]
pub async fn job_waits(ctx: &QueryContext, queue: Option<String>) -> Result<JobWaits> {
    admin::waits(ctx.db(), queue.as_deref()).await
}

/// Stops a queue until it is resumed: no node claims a job of it that begins to look for one after this.
/// Jobs that are held go on.
#[forge_app_macros::mutation(name = "forge.pauseQueue", role = "admin")]
pub async fn pause_queue(ctx: &MutationContext, queue: String) -> Result<QueueRow> {
    let audit = record(ctx, "pauseQueue", &queue, &queue).await?;
    if !admin::pause_queue(ctx.db(), &queue, &ctx.auth().identity()?.subject).await? {
        return Err(Fault::new(Code::Conflict, "the queue is paused already")
            .with_details(serde_json::json!({ "state": "paused" })));
    }
    finish(ctx, audit, &queue).await
}

/// Lets the jobs of a paused queue run again.
#[forge_app_macros::mutation(name = "forge.resumeQueue", role = "admin")]
pub async fn resume_queue(ctx: &MutationContext, queue: String) -> Result<QueueRow> {
    let audit = record(ctx, "resumeQueue", &queue, &queue).await?;
    if !admin::resume_queue(ctx.db(), &queue).await? {
        return Err(Fault::new(Code::Conflict, "the queue is not paused")
            .with_details(serde_json::json!({ "state": "active" })));
    }
    ctx.wake_workers(&queue);
    finish(ctx, audit, &queue).await
}

/// Lets at most `concurrency_max` jobs of a queue be held at a time, by all nodes together; without it, as
/// many as there are workers. Jobs that are held go on, also beyond a new limit.
#[forge_app_macros::mutation(name = "forge.limitQueue", role = "admin")]
pub async fn limit_queue(
    ctx: &MutationContext,
    queue: String,
    concurrency_max: Option<u32>,
) -> Result<QueueRow> {
    if concurrency_max.is_some_and(|most| !(1..=CONCURRENCY_MAX).contains(&most)) {
        let message = format!("a queue has a limit of 1 to {CONCURRENCY_MAX} jobs; pause it to stop it");
        return Err(Fault::new(Code::BadRequest, message));
    }
    let limit = concurrency_max.map_or_else(|| "no limit".to_owned(), |most| format!("{most} at a time"));
    let audit = record(ctx, "limitQueue", &queue, &format!("{queue}: {limit}")).await?;
    admin::limit_queue(ctx.db(), &queue, concurrency_max).await?;
    ctx.wake_workers(&queue);
    finish(ctx, audit, &queue).await
}

/// Writes the audit in the transaction of what it is about: either both happened or neither. A queue that
/// nobody knows is refused, since a typing error would stop nothing.
async fn record(ctx: &MutationContext, action: &str, queue: &str, target: &str) -> Result<AuditId> {
    let known = admin::queues(ctx.db(), &[], &ctx.job_handlers()).await?;
    if !known.iter().any(|row| row.queue == queue) {
        let names: Vec<&str> = known.iter().map(|row| &*row.queue).collect();
        let message = format!("there is no queue `{queue}`: no handler names it, and no job waits in it");
        return Err(Fault::new(Code::NotFound, message).with_details(serde_json::json!({ "queues": names })));
    }
    let id = AuditId::new();
    ctx.call(RecordAudit { id, action: action.to_owned(), node: None, target: target.to_owned() }).await?;
    Ok(id)
}

/// The queue as it is after the command.
async fn finish(ctx: &MutationContext, audit: AuditId, queue: &str) -> Result<QueueRow> {
    ctx.call(CompleteAudit { id: audit, error: None }).await?;
    let page = ctx.call(Queues {}).await?;
    let row = page.queues.into_iter().find(|row| row.queue == queue);
    // A queue whose last setting was taken back, and that nothing else names.
    Ok(row.unwrap_or_else(|| QueueRow::named(queue)))
}

/// The live nodes that run jobs; without a cluster the node that answers.
pub(super) async fn live_workers(ctx: &QueryContext) -> Result<Vec<WorkerInfo>> {
    let node = ctx.node();
    let here = || WorkerInfo {
        id: node.id,
        name: node.name.to_string(),
        job_names: Some(ctx.job_handlers().iter().map(|handler| handler.name.to_owned()).collect()),
        capabilities: None,
        resources: None,
    };
    Ok(node.workers(ctx.db(), WORKER_ROLE).await?.unwrap_or_else(|| vec![here()]))
}
