//! What clients do with the runs that they follow: they read the status of a run, and cancel it. Statements
//! run on the `db` of the caller.
//!
//! The identity that started a run with a handle may follow it, and so may administrators. All others get
//! `NOT_FOUND`. The handle names one logical run: after `continue_as_new` it shows the new run. A run that
//! replaces another one with the same id has a handle of its own, and the handle of a parent does not show
//! its children.
//!
//! `forge_workflow_progress` holds a row for each run that is followed. A start with a handle writes the row
//! in its own transaction. Triggers of `forge_workflow_runs` and `forge_workflow_history` copy each change of
//! a followed run in the statement that makes the change, under the same lease and the same locks: what a
//! client sees is what was committed, whatever is killed. Changes of that table are captured, those of the
//! two others are not. Recorder, leaver and ender announce no commit, so nodes find such a change with their
//! next poll, 5 to 50 ms later.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use super::admin::{self, ChangedRuns, RunChange, TERMINATED, WorkflowStatus, status_of};
use crate::app::follower::{Viewer, follower};
use crate::app::job_failure::{CANCELLED, JobFailure};
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::kernel::invocation::Identity;
use crate::kernel::time::Timestamp;

/// Identities that may follow one run; a further one gets `NOT_FOUND`.
const FOLLOWERS_MAX: i32 = 1_000;
/// Tries to cancel a run that goes on as a new one at the same moment; each try takes the newest run.
const CANCEL_TRIES_MAX: u32 = 5;

/// A run as its followers see it.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct FollowedWorkflow {
    /// The run that the handle names.
    pub id: RunId,
    /// The run that it is now: another one after it went on as a new run.
    pub run: RunId,
    /// Its status.
    pub status: WorkflowStatus,
    /// When a run that waits goes on at the latest; `None` when that is open.
    pub due_at: Option<Timestamp>,
    /// What it has published last; `null` before that.
    pub published: Option<serde_json::Value>,
    /// What its function returned; `null` for one that is not completed.
    pub result: Option<serde_json::Value>,
    /// Why it ended without success.
    pub failure: Option<JobFailure>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// Lets an identity follow a run, of which `identity` is the JSON.
pub(super) async fn follow(db: &Db, run: RunId, identity: Option<&str>) -> Result<(), Fault> {
    let identity: Option<Identity> =
        identity.map(serde_json::from_str).transpose().map_err(Fault::internal)?;
    let follower = follower(identity.as_ref());
    let followed: Option<RunId> = sqlx::query_scalar(include_str!("sql/follow_run.sql"))
        .bind(run)
        .bind(&follower)
        .bind(FOLLOWERS_MAX)
        .fetch_optional(db)
        .await?;
    if followed.is_none() {
        sqlx::query(include_str!("sql/follow_ended_run.sql"))
            .bind(run)
            .bind(&follower)
            .bind(FOLLOWERS_MAX)
            .execute(db)
            .await?;
    }
    Ok(())
}

/// Finds a run that `viewer` follows.
///
/// # Errors
/// `NOT_FOUND` for all others.
pub async fn find(db: &Db, run: RunId, viewer: &Viewer) -> Result<FollowedWorkflow, Fault> {
    let found = sqlx::query_as(include_str!("sql/find_followed_run.sql"))
        .bind(run)
        .bind(&viewer.follower)
        .bind(viewer.sees_all)
        .fetch_optional(db)
        .await?;
    found.ok_or_else(|| {
        let text = format!("there is no run {run} that you have started with a handle");
        Fault::new(Code::NotFound, text)
    })
}

/// Asks a run that `viewer` follows to be cancelled. One that has ended is not changed.
///
/// # Errors
/// `NOT_FOUND` for all others.
pub async fn cancel(
    db: &Db,
    run: RunId,
    viewer: &Viewer,
    change: RunChange<'_>,
) -> Result<(FollowedWorkflow, ChangedRuns), Fault> {
    let mut found = find(db, run, viewer).await?;
    let mut changed = ChangedRuns::default();
    for _ in 0..CANCEL_TRIES_MAX {
        if found.status.is_ended() || !changed.ids.is_empty() {
            break;
        }
        changed = admin::apply(db, change, &[found.run]).await?;
        let before = std::mem::replace(&mut found, find(db, run, viewer).await?);
        // A run that goes on as a new one at this moment is not changed; the new one is.
        if before.run == found.run {
            break;
        }
    }
    Ok((found, changed))
}

/// Why a run ended with this status, where its row does not say it to clients and other runs.
pub(super) fn failure_of(status: WorkflowStatus) -> Option<JobFailure> {
    let (code, message) = match status {
        WorkflowStatus::Failed => {
            (Code::Internal.name(), "the run failed inside the server; its log says why")
        }
        WorkflowStatus::Cancelled => (CANCELLED, "the run was cancelled"),
        WorkflowStatus::Terminated => (TERMINATED, "the run was terminated"),
        WorkflowStatus::Ready
        | WorkflowStatus::Running
        | WorkflowStatus::Waiting
        | WorkflowStatus::Compensating
        | WorkflowStatus::Paused
        | WorkflowStatus::Diverged
        | WorkflowStatus::CompensationFailed
        | WorkflowStatus::Completed
        | WorkflowStatus::Continued => return None,
    };
    Some(JobFailure { code: code.to_owned(), message: message.to_owned(), details: None, is_own: false })
}

impl FromRow<'_, PgRow> for FollowedWorkflow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let status = status_of(row)?;
        let failure: Option<serde_json::Value> = row.try_get("failure")?;
        let failure = failure.map(serde_json::from_value).transpose();
        let failure = failure.map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self {
            id: row.try_get("id")?,
            run: row.try_get("run_id")?,
            status,
            due_at: row.try_get("due_at")?,
            published: row.try_get("published")?,
            result: row.try_get("result")?,
            failure: failure.or_else(|| failure_of(status)),
            created_at: row.try_get("created_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}
