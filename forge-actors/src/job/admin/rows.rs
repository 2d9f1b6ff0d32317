//! Jobs as an administrator sees them.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use super::bulk_progress::BulkProgress;
use crate::app::JobStatus;
use crate::app::job_children::WaitedCounts;
use crate::app::log::JobLogLevel;
use crate::app::secret::REDACTED;
use crate::job::store;
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
    /// Tenant of the identity that the job runs with.
    pub tenant: Option<String>,
    /// The key of the concurrency or rate limit that the job waits for.
    pub blocked_by: Option<String>,
    /// The job waits for jobs: its children, or those before it in its batch or chain.
    pub waits_for_jobs: bool,
    /// Why the last attempt failed, or who ended the job.
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
    /// `traceparent` of the call that dispatched the job.
    pub trace: Option<String>,
    /// What the handler of a completed job returned, as JSON.
    pub result: Option<String>,
    /// How far the job is, from 0 to 1, as its handler has reported.
    pub progress: Option<f64>,
    /// What it does, as its handler has reported.
    pub message: Option<String>,
    /// The last lines that it has logged, the oldest first.
    pub log: Vec<JobLogLine>,
    /// For the job of `forge.bulkJobs`: how far it is.
    pub bulk: Option<BulkProgress>,
    /// The last 20 attempts that failed, oldest first.
    pub failed_attempts: Vec<AttemptFailure>,
    /// The jobs that it waits for, or has waited for; `None` when there are none.
    pub waited: Option<WaitedCounts>,
    /// The job that waits for this one.
    pub waiter: Option<JobId>,
}

/// A line that a job has logged.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct JobLogLine {
    /// When it was logged.
    pub at: Timestamp,
    /// How grave it is.
    pub level: JobLogLevel,
    /// The line, with its fields.
    pub line: String,
    /// The claim that the attempt belongs to; it grows from one attempt to the next.
    pub claim: i32,
    /// Counts the lines of the attempt from 1, also those that are not kept.
    pub number: i32,
}

/// An attempt that failed.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct AttemptFailure {
    /// Its number; a job that was retried by a person has several with the same one.
    pub attempt: i32,
    /// The claim that the attempt belonged to; it grows from one attempt to the next.
    pub claim: i32,
    /// When it failed.
    pub at: Timestamp,
    /// Why.
    pub error: String,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub struct JobSummary {
    /// The job.
    pub job: JobId,
    /// Its status.
    pub status: JobStatus,
    /// Why the last attempt failed, or who ended the job.
    pub last_error: Option<String>,
    /// When it was finished; `None` for one that is not.
    pub finished_at: Option<Timestamp>,
}

impl JobRow {
    /// Leaves the values of arguments out of the key of its limit, unless `is_open` says of its handler that
    /// people may see them.
    pub fn hide_arguments(&mut self, is_open: impl Fn(&str) -> bool) {
        if is_open(&self.name) {
            return;
        }
        self.blocked_by = self.blocked_by.take().map(|key| without_values(&key));
    }
}

/// The key of a limit without the values of arguments, before which its purpose and its scope stand.
pub(super) fn without_values(key: &str) -> String {
    let scope: Vec<&str> = key.split(':').take(2).collect();
    format!("{}:{REDACTED}", scope.join(":"))
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
            tenant: row.try_get("tenant")?,
            blocked_by: row.try_get("blocked_by")?,
            waits_for_jobs: row.try_get::<Option<bool>, _>("waits_for_jobs")?.unwrap_or_default(),
            last_error: row.try_get("last_error")?,
            created_at: row.try_get("created_at")?,
            run_at: row.try_get("run_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}

impl FromRow<'_, PgRow> for JobSummary {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            job: row.try_get("id")?,
            status: store::status(row)?,
            last_error: row.try_get("last_error")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}

/// Reads a log that Postgres has written as JSON.
fn lines(json: Option<&str>) -> sqlx::Result<Vec<JobLogLine>> {
    let lines = json.map(serde_json::from_str).transpose();
    Ok(lines.map_err(|error| sqlx::Error::Decode(error.into()))?.unwrap_or_default())
}

impl FromRow<'_, PgRow> for JobDetail {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let waited: Option<serde_json::Value> = row.try_get("waited")?;
        let waited = waited.map(serde_json::from_value).transpose();
        Ok(Self {
            job: JobRow::from_row(row)?,
            args: row.try_get("args")?,
            subject: row.try_get("subject")?,
            trace: row.try_get("trace")?,
            result: row.try_get("result")?,
            progress: row.try_get("progress")?,
            message: row.try_get("message")?,
            log: lines(row.try_get("log")?)?,
            bulk: None,
            waited: waited.map_err(|error| sqlx::Error::Decode(error.into()))?,
            waiter: row.try_get("waiter")?,
            failed_attempts: Vec::new(),
        })
    }
}

impl FromRow<'_, PgRow> for AttemptFailure {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            attempt: row.try_get("attempt")?,
            claim: row.try_get("claim")?,
            at: row.try_get("failed_at")?,
            error: row.try_get("error")?,
        })
    }
}
