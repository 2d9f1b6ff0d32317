//! What clients do with the jobs that they follow: see how far one is, and cancel it. Statements run on the
//! `db` of the caller.
//!
//! A job is followed by the identity that dispatched it with a handle, and by administrators. For everyone
//! else there is no such job.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use super::store;
use crate::app::JobStatus;
use crate::app::follower::Viewer;
use crate::app::job_failure::{CANCELLED, JobFailure};
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::time::Timestamp;

/// Identities that may follow one job; a further one does not see the job.
const FOLLOWERS_MAX: i32 = 1_000;

/// How far a job is, as its dispatcher sees it.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct FollowedJob {
    /// The job.
    pub id: JobId,
    /// Its status.
    pub status: JobStatus,
    /// Attempts that have begun.
    pub attempt: i32,
    /// Attempts that it has.
    pub attempts_max: i32,
    /// When it may run; `None` while it runs, and for a finished job.
    pub run_at: Option<Timestamp>,
    /// How far it is, from 0 to 1, as its handler has reported.
    pub progress: Option<f64>,
    /// What it does, as its handler has reported.
    pub message: Option<String>,
    /// What its handler returned; `null` for one that is not completed.
    pub result: Option<serde_json::Value>,
    /// Why it ended without success.
    pub failure: Option<JobFailure>,
    /// When it was dispatched.
    pub created_at: Timestamp,
    /// When it was finished.
    pub finished_at: Option<Timestamp>,
}

/// Lets `follower` follow a job.
pub(super) async fn follow(db: &Db, job: JobId, follower: &str) -> Result<(), Fault> {
    let followed: Option<JobId> = sqlx::query_scalar(include_str!("sql/follow_job.sql"))
        .bind(job)
        .bind(follower)
        .bind(FOLLOWERS_MAX)
        .fetch_optional(db)
        .await?;
    if followed.is_none() {
        sqlx::query(include_str!("sql/follow_held_job.sql"))
            .bind(job)
            .bind(follower)
            .bind(FOLLOWERS_MAX)
            .execute(db)
            .await?;
    }
    Ok(())
}

/// Finds a job that `viewer` follows.
pub async fn find(db: &Db, job: JobId, viewer: &Viewer) -> Result<Option<FollowedJob>, Fault> {
    Ok(sqlx::query_as(include_str!("sql/find_progress.sql"))
        .bind(job)
        .bind(&viewer.follower)
        .bind(viewer.sees_all)
        .fetch_optional(db)
        .await?)
}

/// Why a job ended with this status, when nothing else is known: a person has cancelled it, its worker was
/// lost in the last attempt, or the database refused its end. `None` for a status that is no failure.
pub(super) fn failure_of(status: JobStatus) -> Option<JobFailure> {
    let (code, message) = match status {
        JobStatus::Cancelled => (CANCELLED, "the job was cancelled"),
        JobStatus::Failed | JobStatus::DeadLetter => {
            (Code::Internal.name(), "the job failed inside the server; its log says why")
        }
        JobStatus::Pending
        | JobStatus::Claimed
        | JobStatus::Running
        | JobStatus::Completed
        | JobStatus::Retry => return None,
    };
    Some(JobFailure { code: code.to_owned(), message: message.to_owned(), details: None, is_own: false })
}

impl FromRow<'_, PgRow> for FollowedJob {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let status = store::status(row)?;
        let failure: Option<serde_json::Value> = row.try_get("failure")?;
        let failure = failure.map(serde_json::from_value).transpose();
        let failure = failure.map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self {
            id: row.try_get("id")?,
            status,
            attempt: row.try_get("attempt")?,
            attempts_max: row.try_get("attempts_max")?,
            run_at: row.try_get("run_at")?,
            progress: row.try_get("progress")?,
            message: row.try_get("message")?,
            result: row.try_get("result")?,
            failure: failure.or_else(|| failure_of(status)),
            created_at: row.try_get("created_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}
