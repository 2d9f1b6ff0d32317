//! `forge.jobs`, `forge.job`, `forge.retryJob`, `forge.cancelJob`: the jobs of the whole database, finished
//! or not.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use crate::app::{JobStatus, MutationContext, QueryContext, Result};
use crate::dashboard::audit::{AuditId, RecordAudit, SettleAudit};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::{JobId, NodeId};
use crate::kernel::time::Timestamp;

/// Rows of one answer at most.
const ROWS_MAX: u16 = 1_000;

/// One job.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// Wire name of its handler.
    pub name: String,
    /// Where it waits, or waited.
    pub queue: String,
    /// 0 to 100; larger ones run first.
    pub priority: i16,
    /// Where it is in its life.
    pub status: JobStatus,
    /// Attempts begun.
    pub attempt: i32,
    /// Attempts that it has.
    pub attempts_max: i32,
    /// The node that holds it, or held it last.
    pub node: Option<NodeId>,
    /// Why its last attempt failed, or who cancelled it.
    pub last_error: Option<String>,
    /// When it was dispatched.
    pub created_at: Timestamp,
    /// When it may run; of one that is not finished.
    pub run_at: Option<Timestamp>,
    /// When it was finished.
    pub finished_at: Option<Timestamp>,
}

/// One job with everything that it carries.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct JobDetail {
    /// What the list says.
    pub job: JobRow,
    /// The arguments object, as JSON.
    pub args: String,
    /// Subject of the token with which it was dispatched.
    pub subject: Option<String>,
    /// Tenant of that token.
    pub tenant: Option<String>,
    /// `traceparent` of the call that dispatched it.
    pub trace: Option<String>,
}

impl FromRow<'_, PgRow> for JobRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let status: String = row.try_get("status")?;
        let unknown = || sqlx::Error::Decode(format!("`{status}` is no status of a job").into());
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            queue: row.try_get("queue")?,
            priority: row.try_get("priority")?,
            status: JobStatus::parse(&status).ok_or_else(unknown)?,
            attempt: row.try_get("attempt")?,
            attempts_max: row.try_get("attempts_max")?,
            node: row.try_get("node_id")?,
            last_error: row.try_get("last_error")?,
            created_at: row.try_get("created_at")?,
            run_at: row.try_get("run_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}

impl FromRow<'_, PgRow> for JobDetail {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            job: JobRow::from_row(row)?,
            args: row.try_get("args")?,
            subject: row.try_get("subject")?,
            tenant: row.try_get("tenant")?,
            trace: row.try_get("trace")?,
        })
    }
}

/// Jobs of the whole database, newest first: 100 unless `limit` says otherwise, 1,000 at most.
#[forge_app_macros::query(name = "forge.jobs", role = "admin", refresh = "1s")]
pub async fn jobs(
    ctx: &QueryContext,
    status: Option<JobStatus>,
    queue: Option<String>,
    name: Option<String>,
    limit: Option<u16>,
) -> Result<Vec<JobRow>> {
    let limit = i64::from(limit.unwrap_or(100).min(ROWS_MAX));
    let status = status.map(JobStatus::as_str);
    Ok(sqlx::query_as(include_str!("sql/list_jobs.sql"))
        .bind(status)
        .bind(queue)
        .bind(name)
        .bind(limit)
        .fetch_all(ctx.db())
        .await?)
}

/// One job with its arguments, whether it is finished or not.
#[forge_app_macros::query(name = "forge.job", role = "admin", refresh = "1s")]
pub async fn job(ctx: &QueryContext, id: JobId) -> Result<JobDetail> {
    let found = sqlx::query_as(include_str!("sql/find_job.sql")).bind(id).fetch_optional(ctx.db()).await?;
    found.ok_or_else(|| {
        Fault::new(Code::NotFound, format!("there is no job {id}; finished ones are kept for a while only"))
    })
}

/// Runs a job now: one that waits at once, one that failed, is a dead letter or was cancelled with all of its
/// attempts.
#[forge_app_macros::mutation(name = "forge.retryJob", role = "admin")]
pub async fn retry_job(ctx: &MutationContext, id: JobId) -> Result<JobDetail> {
    let audit = record(ctx, "retryJob", id).await?;
    let queue: Option<String> =
        sqlx::query_scalar(include_str!("sql/retry_job.sql")).bind(id).fetch_optional(ctx.db()).await?;
    let detail = ctx.call(Job { id }).await?;
    let status = detail.job.status;
    let queue = queue.ok_or_else(|| {
        Fault::new(Code::Conflict, format!("the job is {}: there is nothing to try again", status.as_str()))
    })?;
    ctx.wake_workers(&queue);
    ctx.call(SettleAudit { id: audit, error: None }).await?;
    Ok(detail)
}

/// Ends a job that is not finished. One that runs is cut within seconds, and what it still writes through its
/// job is refused.
#[forge_app_macros::mutation(name = "forge.cancelJob", role = "admin")]
pub async fn cancel_job(ctx: &MutationContext, id: JobId) -> Result<JobDetail> {
    let audit = record(ctx, "cancelJob", id).await?;
    let who = &ctx.auth().identity()?.subject;
    let gone: Option<JobId> = sqlx::query_scalar(include_str!("sql/cancel_job.sql"))
        .bind(id)
        .bind(who)
        .fetch_optional(ctx.db())
        .await?;
    let detail = ctx.call(Job { id }).await?;
    let status = detail.job.status;
    gone.ok_or_else(|| Fault::new(Code::Conflict, format!("the job is {} already", status.as_str())))?;
    ctx.call(SettleAudit { id: audit, error: None }).await?;
    Ok(detail)
}

/// Writes the audit in the transaction of what it is about: either both happened or neither.
async fn record(ctx: &MutationContext, action: &str, job: JobId) -> Result<AuditId> {
    let id = AuditId::new();
    ctx.call(RecordAudit { id, action: action.to_owned(), node: None, target: job.to_string() }).await?;
    Ok(id)
}
