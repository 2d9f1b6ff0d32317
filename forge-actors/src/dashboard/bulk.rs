//! `forge.countJobs`, `forge.bulkJobs`: an action on all jobs that match a filter.
//!
//! ```text
//!   forge.bulkJobs ── one transaction ──▶ job `forge.bulk_jobs` · row of forge_job_bulks · row of the audit
//!                                           │ forge.bulkStep, again and again: a batch in a transaction
//!                                           ▼
//!                                         the last batch ends the bulk, and completes its audit
//! ```
//!
//! The row of the audit has the id of the job. It stays underway when the job does not come to its end.

use crate::app::{JobContext, MutationContext, QueryContext, Result};
use crate::dashboard::audit::{AuditId, RecordAudit, complete_bulk};
use crate::dashboard::jobs::Job;
use crate::job::admin::{
    self, BulkBatch, BulkCounts, JobAction, JobDetail, JobFilter, JobMatches, JobSearch, NewBulk,
};
use crate::kernel::ids::JobId;
use crate::test_signals::{Step, pause_point};

/// Counts the jobs that match a filter, to the last, and those of them that `action` would change. Reads all
/// jobs that may match: for one look before something is done, and not for a page that is open.
#[forge_app_macros::query(name = "forge.countJobs", role = "admin", timeout = "60s")]
pub async fn count_jobs(
    ctx: &QueryContext,
    filter: Option<JobFilter>,
    action: Option<JobAction>,
) -> Result<JobMatches> {
    let search = JobSearch::new(filter.unwrap_or_default(), &ctx.job_handlers())?;
    admin::count_matches(ctx.db(), &search, action).await
}

/// Does something to all jobs that match a filter and were dispatched before this call, as a job of its own,
/// which is returned: `forge.job` says how far it is, and `forge.cancelJob` stops it between two batches.
/// `expected` is what `forge.countJobs` has counted before.
#[forge_app_macros::mutation(name = "forge.bulkJobs", role = "admin")]
pub async fn start_bulk(
    ctx: &MutationContext,
    action: JobAction,
    filter: JobFilter,
    expected: Option<u32>,
) -> Result<JobDetail> {
    JobSearch::new(filter.clone(), &ctx.job_handlers())?;
    let job = ctx.dispatch(BulkJobs {}).await?;
    let target = match expected {
        Some(count) => format!("{} {filter} ({count} jobs)", action.as_str()),
        None => format!("{} {filter}", action.as_str()),
    };
    ctx.call(RecordAudit { id: AuditId::of_bulk(job), action: "bulkJobs".to_owned(), node: None, target })
        .await?;
    let who = &ctx.auth().identity()?.subject;
    admin::begin_bulk(ctx.db(), NewBulk { job, action, filter: &filter, who, expected }).await?;
    Ok(ctx.call(Job { id: job }).await?)
}

/// Does what `forge.bulkJobs` was asked for, batch by batch, and returns what it did.
#[forge_app_macros::job(name = "forge.bulk_jobs", queue = "forge.bulk", timeout = "24h")]
pub async fn bulk_jobs(ctx: &JobContext) -> Result<BulkCounts> {
    let job = ctx.attempt().job;
    loop {
        let BulkState { goes_on, counts, expected } = ctx.call(BulkStep { job }).await?;
        if !goes_on {
            return Ok(counts);
        }
        // The count before may be missing, or lower than what matches by now.
        let looked_at = f64::from(counts.done.saturating_add(counts.skipped));
        let part = expected.map_or(0.0, |expected| looked_at / f64::from(expected.max(1)));
        ctx.progress(part.min(1.0), counts.to_string()).await?;
        pause_point(Step::JobBatchChanged, "bulk").await;
    }
}

/// How far a bulk is after a batch.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy)]
pub struct BulkState {
    /// Whether there is another batch.
    goes_on: bool,
    /// What it has done so far.
    counts: BulkCounts,
    /// How many jobs matched when they were counted before.
    expected: Option<u32>,
}

/// Does the next batch of a bulk action, and returns how far the action is.
#[forge_app_macros::mutation(name = "forge.bulkStep", internal, timeout = "60s")]
pub async fn bulk_step(ctx: &MutationContext, job: JobId) -> Result<BulkState> {
    let BulkBatch { wake, goes_on, counts, expected } =
        admin::bulk_batch(ctx.db(), job, &ctx.job_handlers()).await?;
    wake.iter().for_each(|queue| ctx.wake_workers(queue));
    if !goes_on {
        complete_bulk(ctx, job, &counts.to_string()).await?;
    }
    Ok(BulkState { goes_on, counts, expected })
}
