//! `forge.crons`, `forge.cron`, `forge.cronDays`, `forge.runCron`, `forge.pauseCron`, `forge.resumeCron`: the
//! schedules of the whole database, and their runs.

use crate::app::{MutationContext, QueryContext, Result};
use crate::cron::admin::{self, CronDetail, CronFilter, CronRow, CronState, FoundCron};
use crate::cron::days::{self, CronDays};
use crate::dashboard::audit::{AuditId, CompleteAudit, RecordAudit};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::CronId;

/// Rows of one answer at most.
const ROWS_MAX: u16 = 1_000;
/// Runs that are shown of a cron, unless more are asked for.
const RUNS: u16 = 50;
/// Times that are shown of what comes next, unless more are asked for.
const UPCOMING: u16 = 5;
/// The most times of what comes next.
const UPCOMING_MAX: u16 = 100;

/// Schedules of the whole database, by name: 100 unless `limit` says otherwise, 1,000 at most. `search` is a
/// text in their name, handler, tenant, queue, expression or zone; `failing` lists those whose newest run
/// failed or was cancelled.
#[forge_app_macros::query(name = "forge.crons", role = "admin", refresh = "1s")]
pub async fn crons(
    ctx: &QueryContext,
    handler: Option<String>,
    tenant: Option<String>,
    state: Option<CronState>,
    failing: Option<bool>,
    search: Option<String>,
    limit: Option<u16>,
) -> Result<Vec<CronRow>> {
    let is_failing = failing.unwrap_or(false);
    let filter = CronFilter { handler, tenant, state, is_failing, search, is_own: false };
    admin::list(ctx.db(), filter, limit.unwrap_or(100).min(ROWS_MAX)).await
}

/// What became of the times of the last 24 hours, for the first 100 of `crons`, in half hours.
#[forge_app_macros::query(name = "forge.cronDays", role = "admin", refresh = "10s")]
pub async fn cron_days(ctx: &QueryContext, crons: Vec<CronId>) -> Result<CronDays> {
    days::list_days(ctx.db(), crons).await
}

/// One schedule with its arguments and its last runs: 50 unless `runs` says otherwise, 1,000 at most; and its
/// next times: 5 unless `upcoming` says otherwise, 100 at most. `cron` is its name or its id.
#[forge_app_macros::query(name = "forge.cron", role = "admin", refresh = "1s")]
pub async fn cron(
    ctx: &QueryContext,
    cron: String,
    runs: Option<u16>,
    upcoming: Option<u16>,
) -> Result<CronDetail> {
    let found = admin::find(ctx.db(), &cron).await?;
    let (runs, upcoming) =
        (runs.unwrap_or(RUNS).min(ROWS_MAX), upcoming.unwrap_or(UPCOMING).min(UPCOMING_MAX));
    let mut detail = admin::detail(ctx.db(), found, runs, upcoming).await?;
    detail.args = ctx.shown_arguments(&detail.cron.handler, &detail.args);
    Ok(detail)
}

/// Runs a schedule now, also one that is paused or whose last run is not finished. The schedule stays as it
/// is.
#[forge_app_macros::mutation(name = "forge.runCron", role = "admin")]
pub async fn run_cron(ctx: &MutationContext, cron: String) -> Result<CronDetail> {
    let (audit, found) = record(ctx, "runCron", &cron).await?;
    let queue = admin::run_now(ctx.db(), &found, &ctx.auth().identity()?.subject).await?;
    ctx.wake_workers(&queue);
    finish(ctx, audit, &found).await
}

/// Stops a schedule until it is resumed. A run that is dispatched already goes on.
#[forge_app_macros::mutation(name = "forge.pauseCron", role = "admin")]
pub async fn pause_cron(ctx: &MutationContext, cron: String) -> Result<CronDetail> {
    let (audit, found) = record(ctx, "pauseCron", &cron).await?;
    if !admin::pause(ctx.db(), found.row().id, &ctx.auth().identity()?.subject).await? {
        return Err(Fault::new(Code::Conflict, "the cron is paused already"));
    }
    finish(ctx, audit, &found).await
}

/// Lets a schedule run again, from now on: the times of the pause are not made up for.
#[forge_app_macros::mutation(name = "forge.resumeCron", role = "admin")]
pub async fn resume_cron(ctx: &MutationContext, cron: String) -> Result<CronDetail> {
    let (audit, found) = record(ctx, "resumeCron", &cron).await?;
    if !admin::resume_found(ctx.db(), &found).await? {
        return Err(Fault::new(Code::Conflict, "the cron is not paused"));
    }
    finish(ctx, audit, &found).await
}

/// Finds the schedule, and writes the audit in the transaction of what it is about: either both happened or
/// neither.
async fn record(ctx: &MutationContext, action: &str, cron: &str) -> Result<(AuditId, FoundCron)> {
    let found = admin::find(ctx.db(), cron).await?;
    let id = AuditId::new();
    let target = format!("{} {}", found.row().name, found.row().id);
    ctx.call(RecordAudit { id, action: action.to_owned(), node: None, target }).await?;
    Ok((id, found))
}

/// The schedule as it is after the command.
async fn finish(ctx: &MutationContext, audit: AuditId, found: &FoundCron) -> Result<CronDetail> {
    ctx.call(CompleteAudit { id: audit, error: None }).await?;
    let cron = found.row().id.to_string();
    Ok(ctx.call(Cron { cron, runs: None, upcoming: None }).await?)
}
