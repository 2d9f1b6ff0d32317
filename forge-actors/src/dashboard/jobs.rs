//! `forge.jobs`, `forge.jobTotals`, `forge.job`, `forge.retryJob`, `forge.cancelJob`: the jobs of the whole
//! database, finished or not.

use crate::app::{MutationContext, QueryContext, Result};
use crate::dashboard::audit::{AuditId, CompleteAudit, RecordAudit};
use crate::job::admin::{self, JobDetail, JobFilter, JobPage, JobSearch, JobTotals};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;

/// Rows of one answer at most.
const ROWS_MAX: u16 = 1_000;

/// Jobs of the whole database that match the filter, newest dispatch first: 100 unless `limit` says
/// otherwise, 1,000 at most; `before` goes on from `next` of the answer before. A filter that no index
/// answers looks through the newest jobs, and the answer says how far.
#[forge_app_macros::query(name = "forge.jobs", role = "admin", refresh = "2s")]
pub async fn jobs(
    ctx: &QueryContext,
    filter: Option<JobFilter>,
    before: Option<JobId>,
    limit: Option<u16>,
) -> Result<JobPage> {
    let search = JobSearch::new(filter.unwrap_or_default(), &ctx.job_handlers())?;
    admin::list(ctx.db(), &search, before, limit.unwrap_or(100).min(ROWS_MAX)).await
}

/// How many jobs there are, by status and by what they wait for: exact up to some thousands of each.
#[forge_app_macros::query(name = "forge.jobTotals", role = "admin", refresh = "2s")]
pub async fn job_totals(ctx: &QueryContext) -> Result<JobTotals> {
    admin::totals(ctx.db()).await
}

/// One job with its arguments, its progress, its log and its result, whether it is finished or not.
#[forge_app_macros::query(name = "forge.job", role = "admin", refresh = "1s")]
pub async fn job(ctx: &QueryContext, id: JobId) -> Result<JobDetail> {
    let mut detail = admin::find(ctx.db(), id).await?.ok_or_else(|| {
        Fault::new(Code::NotFound, format!("there is no job {id}; finished ones are kept for a while only"))
    })?;
    // Without the secrets among them; of a handler that this binary does not know, without any value.
    detail.args = ctx.shown_arguments(&detail.job.name, &detail.args);
    let handlers = ctx.job_handlers();
    detail.job.hide_arguments(|name| {
        handlers.iter().any(|handler| handler.name == name && !handler.hides_arguments)
    });
    detail.result = detail.result.map(|result| ctx.shown_result(&detail.job.name, &result));
    Ok(detail)
}

/// Runs a job now: one that waits at once, one that failed, is a dead letter or was cancelled with all of its
/// attempts.
#[forge_app_macros::mutation(name = "forge.retryJob", role = "admin")]
pub async fn retry_job(ctx: &MutationContext, id: JobId) -> Result<JobDetail> {
    let audit = record(ctx, "retryJob", id).await?;
    let queue = admin::retry(ctx.db(), id).await?;
    let detail = ctx.call(Job { id }).await?;
    let status = detail.job.status;
    let queue = queue.ok_or_else(|| {
        Fault::new(Code::Conflict, format!("the job is {}: there is nothing to try again", status.as_str()))
    })?;
    ctx.wake_workers(&queue);
    ctx.call(CompleteAudit { id: audit, error: None }).await?;
    Ok(detail)
}

/// Ends a job that is not finished. One that runs is cut within seconds, and what it still writes through its
/// job is refused.
#[forge_app_macros::mutation(name = "forge.cancelJob", role = "admin")]
pub async fn cancel_job(ctx: &MutationContext, id: JobId) -> Result<JobDetail> {
    let audit = record(ctx, "cancelJob", id).await?;
    let who = &ctx.auth().identity()?.subject;
    let cancelled = admin::cancel(ctx.db(), id, who).await?;
    let detail = ctx.call(Job { id }).await?;
    if !cancelled {
        let status = detail.job.status.as_str();
        return Err(Fault::new(Code::Conflict, format!("the job is {status} already")));
    }
    ctx.call(CompleteAudit { id: audit, error: None }).await?;
    Ok(detail)
}

/// Writes the audit in the transaction of what it is about: either both happened or neither.
async fn record(ctx: &MutationContext, action: &str, job: JobId) -> Result<AuditId> {
    let id = AuditId::new();
    ctx.call(RecordAudit { id, action: action.to_owned(), node: None, target: job.to_string() }).await?;
    Ok(id)
}
