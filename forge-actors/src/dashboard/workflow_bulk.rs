//! `forge.countWorkflows`, `forge.bulkWorkflows`: an action on all runs that match a filter, as a job.
//!
//! ```text
//!   forge.bulkWorkflows ── one transaction ──▶ job `forge.bulk_workflows` · row of the audit, with its id
//!                                                │ forge.bulkWorkflowStep, again and again: a batch in a
//!                                                ▼ transaction
//!                                              the last batch completes the audit
//! ```
//!
//! The row of the audit stays underway when the job does not come to its end.

use crate::app::{JobContext, MutationContext, QueryContext, Result};
use crate::dashboard::audit::{AuditId, RecordAudit, complete_bulk};
use crate::dashboard::jobs::Job;
use crate::dashboard::workflow_commands::{checked_reason, wake};
use crate::job::admin::JobDetail;
use crate::kernel::ids::{JobId, RunId};
use crate::kernel::time::Timestamp;
use crate::workflow::admin::{
    self, RunChange, WorkflowAction, WorkflowBulk, WorkflowBulkBatch, WorkflowBulkCounts, WorkflowFilter,
    WorkflowMatches, WorkflowSearch,
};

/// Counts the runs that match a filter, to the last, and those of them that `action` would change. Reads all
/// runs that may match: for one look before something is done, and not for a page that is open.
#[forge_app_macros::query(name = "forge.countWorkflows", role = "admin", timeout = "60s")]
pub async fn count_workflows(
    ctx: &QueryContext,
    filter: Option<WorkflowFilter>,
    action: Option<WorkflowAction>,
) -> Result<WorkflowMatches> {
    admin::count_matches(ctx.db(), &WorkflowSearch::new(filter.unwrap_or_default())?, action).await
}

/// Does something to all runs that match a filter and were started before this call, as a job, which is
/// returned: `forge.job` says how far it is, and `forge.cancelJob` stops it between two batches. `expected`
/// is what `forge.countWorkflows` has counted before. A retry brings runs back as `forge.retryWorkflow`
/// without a step does, and leaves out those that it refuses.
#[forge_app_macros::mutation(name = "forge.bulkWorkflows", role = "admin")]
pub async fn start_bulk_of_runs(
    ctx: &MutationContext,
    action: WorkflowAction,
    filter: WorkflowFilter,
    reason: Option<String>,
    expected: Option<u32>,
) -> Result<JobDetail> {
    WorkflowSearch::new(filter.clone())?;
    let reason = reason.as_deref().map(checked_reason).transpose()?;
    let because = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let count = expected.map(|count| format!(" ({count} runs)")).unwrap_or_default();
    let target = format!("{} {filter}{count}{because}", action.as_str());
    let who = ctx.auth().identity()?.subject.to_owned();
    let started_at: Timestamp =
        sqlx::query_scalar(include_str!("sql/read_clock.sql")).fetch_one(ctx.db()).await?;
    let bulk = WorkflowBulk { action, filter, who, reason, started_at, expected };
    let job = ctx.dispatch(BulkWorkflows { bulk }).await?;
    let audit = AuditId::of_bulk(job);
    ctx.call(RecordAudit { id: audit, action: "bulkWorkflows".to_owned(), node: None, target }).await?;
    Ok(ctx.call(Job { id: job }).await?)
}

/// Does what `forge.bulkWorkflows` was asked for, batch by batch, and returns what it did.
#[forge_app_macros::job(name = "forge.bulk_workflows", queue = "forge.bulk", timeout = "24h")]
pub async fn bulk_workflows(ctx: &JobContext, bulk: WorkflowBulk) -> Result<WorkflowBulkCounts> {
    let job = ctx.attempt().job;
    let (mut counts, mut before) = (WorkflowBulkCounts::default(), None);
    loop {
        let step = BulkWorkflowStep { job, bulk: bulk.clone(), before, counts };
        let WorkflowBulkState { next, counts: so_far } = ctx.call(step).await?;
        (counts, before) = (so_far, next);
        if before.is_none() {
            return Ok(counts);
        }
        // The count before may be missing, or lower than what matches by now.
        let looked_at = f64::from(counts.done.saturating_add(counts.skipped));
        let part = bulk.expected.map_or(0.0, |expected| looked_at / f64::from(expected.max(1)));
        ctx.progress(part.min(1.0), counts.to_string()).await?;
    }
}

/// How far a bulk is after a batch.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy)]
pub struct WorkflowBulkState {
    /// Where the next batch begins; `None` after the last one.
    next: Option<RunId>,
    /// What it has done so far.
    counts: WorkflowBulkCounts,
}

/// Does the batch of a bulk that begins before a run, after those that have done `counts`, and returns how
/// far the bulk is.
#[forge_app_macros::mutation(name = "forge.bulkWorkflowStep", internal, timeout = "60s")]
pub async fn bulk_workflow_step(
    ctx: &MutationContext,
    job: JobId,
    bulk: WorkflowBulk,
    before: Option<RunId>,
    counts: WorkflowBulkCounts,
) -> Result<WorkflowBulkState> {
    let change = RunChange {
        action: bulk.action,
        who: &bulk.who,
        reason: bulk.reason.as_deref(),
        retention: ctx.run_retention(),
    };
    let WorkflowBulkBatch { changed, counts: own, next } =
        admin::bulk_batch(ctx.db(), &bulk, change, before).await?;
    wake(ctx, &changed);
    let counts = WorkflowBulkCounts {
        done: counts.done.saturating_add(own.done),
        skipped: counts.skipped.saturating_add(own.skipped),
    };
    if next.is_none() {
        complete_bulk(ctx, job, &counts.to_string()).await?;
    }
    Ok(WorkflowBulkState { next, counts })
}
