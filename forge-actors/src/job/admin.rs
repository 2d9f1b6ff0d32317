//! What an administrator sees of jobs and does with them. Every function runs its statement on the `db` of
//! its caller, so that it belongs to the caller's snapshot or transaction.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use super::store;
use crate::app::JobStatus;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::{JobId, NodeId};
use crate::kernel::time::Timestamp;

/// One job.
#[forge_app_macros::data(row = false)]
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
#[forge_app_macros::data(row = false)]
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

/// Jobs by what they wait for.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCounts {
    /// For a worker, or for their time.
    pub pending: u32,
    /// For their end.
    pub running: u32,
    /// For another attempt.
    pub retry: u32,
    /// For nothing: jobs in status `failed` or `dead_letter` that ended within the last 24 hours.
    pub failed: u32,
}

/// Which jobs to list; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Jobs in this status.
    pub status: Option<JobStatus>,
    /// Jobs of this queue.
    pub queue: Option<String>,
    /// Jobs of the handler with this wire name.
    pub name: Option<String>,
}

/// Lists at most `limit` jobs that match `filter`, newest first.
pub async fn list(db: &Db, filter: JobFilter, limit: u16) -> Result<Vec<JobRow>, Fault> {
    Ok(sqlx::query_as(include_str!("sql/list_jobs.sql"))
        .bind(filter.status.map(JobStatus::as_str))
        .bind(filter.queue)
        .bind(filter.name)
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?)
}

/// Finds a job, whether it is finished or not.
pub async fn find(db: &Db, id: JobId) -> Result<Option<JobDetail>, Fault> {
    Ok(sqlx::query_as(include_str!("sql/find_job.sql")).bind(id).fetch_optional(db).await?)
}

/// Makes a job that waits, or that ended without success, run now, a finished one with all of its attempts.
/// Returns its queue, whose workers are to be woken after the commit; `None` when there is nothing to try
/// again.
pub async fn retry(db: &Db, id: JobId) -> Result<Option<Arc<str>>, Fault> {
    let queue: Option<String> =
        sqlx::query_scalar(include_str!("sql/retry_job.sql")).bind(id).fetch_optional(db).await?;
    Ok(queue.map(Arc::from))
}

/// Ends a job that is not finished, in the name of `who`. Returns false when there is no such job.
pub async fn cancel(db: &Db, id: JobId, who: &str) -> Result<bool, Fault> {
    let cancelled: Option<JobId> =
        sqlx::query_scalar(include_str!("sql/cancel_job.sql")).bind(id).bind(who).fetch_optional(db).await?;
    Ok(cancelled.is_some())
}

/// Counts the jobs of the whole database.
pub async fn count(db: &Db) -> Result<JobCounts, Fault> {
    let row = sqlx::query(include_str!("sql/count_jobs_by_state.sql")).fetch_one(db).await?;
    let count =
        |column: &str| row.try_get::<i64, _>(column).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    Ok(JobCounts {
        pending: count("pending")?,
        running: count("running")?,
        retry: count("retry")?,
        failed: count("failed")?,
    })
}

impl FromRow<'_, PgRow> for JobRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            queue: row.try_get("queue")?,
            priority: row.try_get("priority")?,
            status: store::status(row)?,
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
