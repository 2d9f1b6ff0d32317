//! `forge.jobs`, `forge.jobTotals`, `forge.job`, `forge.whyJob`, and what an administrator does to one job:
//! `forge.retryJob`, `forge.cancelJob`, `forge.discardJob`, `forge.cloneJob`. The jobs are those of the whole
//! database, finished or not.

use crate::app::job_key::JobKeys;
use crate::app::{MutationContext, QueryContext, Result, Secret};
use crate::dashboard::audit::{AuditId, CompleteAudit, RecordAudit};
use crate::dashboard::queues::live_workers;
use crate::job::admin::{
    self, JobAction, JobDetail, JobExplanation, JobFilter, JobPage, JobSearch, JobTotals, Surroundings,
};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::invocation::is_system;
use crate::kernel::label::is_label;
use crate::kernel::time::Timestamp;

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
    let mut detail = admin::find(ctx.db(), id).await?.ok_or_else(|| missing(id))?;
    // Without the secrets among them; of a handler that this binary does not know, without any value.
    detail.args = ctx.shown_arguments(&detail.job.name, &detail.args);
    let handlers = ctx.job_handlers();
    detail.job.hide_arguments(|name| {
        handlers.iter().any(|handler| handler.name == name && !handler.hides_arguments)
    });
    detail.result = detail.result.map(|result| ctx.shown_result(&detail.job.name, &result));
    if is_system(&detail.job.name) {
        detail.bulk = admin::find_bulk(ctx.db(), id).await?;
    }
    Ok(detail)
}

/// Why a job is where it is: what holds it up, and a sentence that says so.
#[forge_app_macros::query(name = "forge.whyJob", role = "admin", refresh = "2s")]
pub async fn why_job(ctx: &QueryContext, id: JobId) -> Result<JobExplanation> {
    let (workers, handlers) = (live_workers(ctx).await?, ctx.job_handlers());
    let nodes = ctx.node().registered_nodes(ctx.db()).await?;
    let around = Surroundings { nodes: &nodes, workers: &workers, handlers: &handlers };
    admin::explain(ctx.db(), id, around).await?.ok_or_else(|| missing(id))
}

/// Runs a job now: one that waits at once, one that failed, is a dead letter or was cancelled with all of its
/// attempts.
#[forge_app_macros::mutation(name = "forge.retryJob", role = "admin")]
pub async fn retry_job(ctx: &MutationContext, id: JobId) -> Result<JobDetail> {
    act(ctx, JobAction::Retry, id).await
}

/// Ends a job that is not finished. One that runs is cut within seconds, and what it still writes through its
/// job is refused.
#[forge_app_macros::mutation(name = "forge.cancelJob", role = "admin")]
pub async fn cancel_job(ctx: &MutationContext, id: JobId) -> Result<JobDetail> {
    act(ctx, JobAction::Cancel, id).await
}

/// Gives a job up: one that waits ends, and one that failed or is a dead letter leaves the failures. Both are
/// `cancelled` then, keep the error that they had, and can be tried again while the history keeps them.
#[forge_app_macros::mutation(name = "forge.discardJob", role = "admin")]
pub async fn discard_job(ctx: &MutationContext, id: JobId) -> Result<JobDetail> {
    act(ctx, JobAction::Discard, id).await
}

/// Dispatches a job like another one, with the identity of the other's dispatcher, and returns it. `args` (a
/// JSON object, in which `[redacted]` stands for the other's secret at that place), `queue`, `priority` and
/// `runAt` take the place of the other's; its uniqueness is not taken over. `replace` discards the other one.
#[forge_app_macros::mutation(name = "forge.cloneJob", role = "admin", input_max = "16MiB")]
pub async fn clone_job(
    ctx: &MutationContext,
    id: JobId,
    args: Option<String>,
    queue: Option<String>,
    priority: Option<u8>,
    run_at: Option<Timestamp>,
    replace: Option<bool>,
) -> Result<JobDetail> {
    let stored = admin::find_stored(ctx.db(), id).await?.ok_or_else(|| missing(id))?;
    let args = match args {
        Some(given) => {
            let shown = ctx.shown_arguments(&stored.name, &stored.args);
            admin::with_secrets(&given, &shown, &stored.args)?
        }
        None => stored.args,
    };
    let identity = stored.identity.as_ref();
    let mut job = ctx.job_by_name(&stored.name, args, identity)?;
    job.queue = queue.unwrap_or(stored.queue);
    job.priority = priority.map_or(stored.priority, i16::from);
    job.attempts_max = stored.attempts_max;
    job.timeout_ms = stored.timeout_ms;
    if let Some(moment) = run_at {
        job.wait_until(moment);
    }
    job.keys = Secret::new(JobKeys { unique: None, ..job.keys.into_exposed() });
    if job.priority > 100 {
        return Err(Fault::new(Code::BadRequest, "a priority is 0 to 100"));
    }
    if !is_label(&job.queue) {
        let message = "a queue has a name of 1 to 64 of the characters a-z, 0-9, `_`, `.` and `-`";
        return Err(Fault::new(Code::BadRequest, message));
    }
    let audit = record(ctx, "cloneJob", format!("{id} as {}", job.id)).await?;
    if replace.unwrap_or(false) {
        change(ctx, JobAction::Discard, id).await?;
    }
    ctx.dispatch_as(&job, identity).await?;
    ctx.call(CompleteAudit { id: audit, error: None }).await?;
    Ok(ctx.call(Job { id: job.id }).await?)
}

/// Does something to one job, with a row of the audit.
async fn act(ctx: &MutationContext, action: JobAction, id: JobId) -> Result<JobDetail> {
    let audit = record(ctx, &format!("{}Job", action.as_str()), id.to_string()).await?;
    change(ctx, action, id).await?;
    ctx.call(CompleteAudit { id: audit, error: None }).await?;
    Ok(ctx.call(Job { id }).await?)
}

/// Does something to one job.
///
/// # Errors
/// `NOT_FOUND`, and `CONFLICT` with the status of a job that the action does not apply to.
async fn change(ctx: &MutationContext, action: JobAction, id: JobId) -> Result<()> {
    let who = &ctx.auth().identity()?.subject;
    let changed = admin::apply(ctx.db(), action, &[id], who).await?;
    if changed.ids.is_empty() {
        let found = admin::find(ctx.db(), id).await?.ok_or_else(|| missing(id))?;
        let status = found.job.status;
        return Err(Fault::new(Code::Conflict, action.refusal(found.job.status, found.job.waits_for_jobs))
            .with_details(serde_json::json!({ "status": status })));
    }
    changed.wake.iter().for_each(|queue| ctx.wake_workers(queue));
    if action == JobAction::Retry {
        return Ok(());
    }
    // The job may have been that of a bulk, whose audit nobody else completes.
    if let Some(counts) = admin::end_bulk(ctx.db(), id).await? {
        let error = Some(format!("ended by {who}: {counts}"));
        ctx.call(CompleteAudit { id: AuditId::of_bulk(id), error }).await?;
    }
    Ok(())
}

fn missing(id: JobId) -> Fault {
    Fault::new(Code::NotFound, format!("there is no job {id}; finished ones are kept for a while only"))
}

/// Writes the audit in the transaction of what it is about: either both happened or neither.
async fn record(ctx: &MutationContext, action: &str, target: String) -> Result<AuditId> {
    let id = AuditId::new();
    ctx.call(RecordAudit { id, action: action.to_owned(), node: None, target }).await?;
    Ok(id)
}
