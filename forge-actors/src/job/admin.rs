//! What an administrator sees of jobs and does with them. Every function runs its statement on the `db` of
//! its caller, so that it belongs to the caller's snapshot or transaction.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use super::state::is_finished;
use super::store;
use crate::app::JobStatus;
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::{JobId, NodeId};
use crate::kernel::time::Timestamp;

/// One job.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Id of the job.
    pub id: JobId,
    /// Wire name of the handler.
    pub name: String,
    /// The queue in which the job waits or waited.
    pub queue: String,
    /// 0 to 100; jobs with larger values run first.
    pub priority: i16,
    /// Status of the job.
    pub status: JobStatus,
    /// Attempts that have begun.
    pub attempt: i32,
    /// Attempts until the job is a dead letter.
    pub attempts_max: i32,
    /// The node that runs the job, or ran it last.
    pub node: Option<NodeId>,
    /// Why the last attempt failed, or who cancelled the job.
    pub last_error: Option<String>,
    /// When the job was dispatched.
    pub created_at: Timestamp,
    /// When the job may run; `None` for a finished job.
    pub run_at: Option<Timestamp>,
    /// When the job was finished.
    pub finished_at: Option<Timestamp>,
}

/// One job with its arguments and its origin.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct JobDetail {
    /// The row of the list.
    pub job: JobRow,
    /// The arguments object, as JSON.
    pub args: String,
    /// Subject of the token of the call that dispatched the job.
    pub subject: Option<String>,
    /// Tenant of that token.
    pub tenant: Option<String>,
    /// `traceparent` of the call that dispatched the job.
    pub trace: Option<String>,
}

/// Numbers of jobs, by state.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCounts {
    /// Jobs that wait for a worker or for their scheduled time.
    pub pending: u32,
    /// Jobs that a node has claimed (status `claimed` or `running`), whether their attempt has begun or not.
    pub running: u32,
    /// Jobs that wait for their next attempt.
    pub retry: u32,
    /// Jobs in status `failed` or `dead_letter` that ended within the last 24 hours.
    pub failed: u32,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub struct JobOutcome {
    /// The job.
    pub job: JobId,
    /// Its status.
    pub status: JobStatus,
    /// Why the last attempt failed, or who cancelled the job.
    pub last_error: Option<String>,
    /// When it was finished; `None` for one that is not.
    pub finished_at: Option<Timestamp>,
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

/// How far jobs are. One that is missing from the answer was finished, and its row is older than the history
/// goes back.
pub async fn outcomes(db: &Db, ids: &[JobId]) -> Result<Vec<JobOutcome>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as(include_str!("sql/list_outcomes.sql")).bind(ids).fetch_all(db).await?)
}

/// Makes a job that waits, or that ended without success, run now, a finished one with all of its attempts.
/// Returns its queue, whose workers are to be woken after the commit; `None` when there is nothing to try
/// again.
pub async fn retry(db: &Db, id: JobId) -> Result<Option<Arc<str>>, Fault> {
    let queue: Option<String> =
        sqlx::query_scalar(include_str!("sql/retry_job.sql")).bind(id).fetch_optional(db).await?;
    Ok(queue.map(Arc::from))
}

/// How often a cancel looks for a job that is on its way from one table to another.
const CANCEL_TRIES: usize = 10;

/// Ends a job that is not finished, in the name of `who`. Returns false when there is no such job.
///
/// A job that is claimed or returned while the statement runs is in neither of the tables that its snapshot
/// shows, and in one of them for the next statement.
pub async fn cancel(db: &Db, id: JobId, who: &str) -> Result<bool, Fault> {
    for _ in 0..CANCEL_TRIES {
        let cancel = sqlx::query_scalar(include_str!("sql/cancel_job.sql")).bind(id).bind(who);
        let cancelled: Option<JobId> = cancel.fetch_optional(db).await?;
        if cancelled.is_some() {
            return Ok(true);
        }
        let is_left = find(db, id).await?.is_some_and(|found| !is_finished(found.job.status));
        if !is_left {
            return Ok(false);
        }
    }
    Err(Fault::new(Code::Conflict, "the job changes its place again and again; try again"))
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

impl FromRow<'_, PgRow> for JobOutcome {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            job: row.try_get("id")?,
            status: store::status(row)?,
            last_error: row.try_get("last_error")?,
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
