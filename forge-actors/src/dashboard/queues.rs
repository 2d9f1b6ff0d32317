//! `forge.queues`, `forge.jobWaits`: the queues of the whole database, and how long their jobs wait.

use crate::app::{QueryContext, Result};
use crate::job::WORKER_ROLE;
use crate::job::admin::{self, JobWaits, QueuesPage};
use crate::kernel::node::WorkerInfo;

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

/// The live nodes that run jobs; without a cluster the node that answers.
pub(super) async fn live_workers(ctx: &QueryContext) -> Result<Vec<WorkerInfo>> {
    let node = ctx.node();
    let here = || WorkerInfo {
        id: node.id,
        name: node.name.to_string(),
        job_names: Some(ctx.job_handlers().iter().map(|handler| handler.name.to_owned()).collect()),
    };
    Ok(node.workers(ctx.db(), WORKER_ROLE).await?.unwrap_or_else(|| vec![here()]))
}
