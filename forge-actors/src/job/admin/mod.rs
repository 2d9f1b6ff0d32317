//! What an administrator sees of jobs and does with them. Every function runs its statements on the `db` of
//! its caller, so that they belong to the caller's snapshot or transaction.
//!
//! A dashboard that is open asks again and again. So no question costs more than a bounded number of rows,
//! however many jobs wait or are finished: numbers are exact up to a bound, and lists say how far they
//! looked.

mod filter;
mod list;
mod queues;
mod rows;
mod settings;
mod totals;

use std::sync::Arc;

use super::state::is_finished;
use super::store;
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;

pub use filter::{JobArgument, JobFilter, JobSearch, JobWait};
pub use list::{JobPage, list};
pub use queues::{JobWaits, QueueRow, QueuesPage, WaitBucket, queues, waits};
pub use rows::{JobDetail, JobLogLine, JobOutcome, JobRow};
pub use settings::{limit_queue, pause_queue, resume_queue};
pub use totals::{BoundedCount, JobCounts, JobTotals, StatusCount, count, totals};

/// Finds a job, whether it is finished or not.
pub async fn find(db: &Db, id: JobId) -> Result<Option<JobDetail>, Fault> {
    Ok(sqlx::query_as(include_str!("../sql/find_job.sql")).bind(id).fetch_optional(db).await?)
}

/// How far jobs are. One that is missing from the answer was finished, and its row is older than the history
/// goes back.
pub async fn outcomes(db: &Db, ids: &[JobId]) -> Result<Vec<JobOutcome>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as(include_str!("../sql/list_outcomes.sql")).bind(ids).fetch_all(db).await?)
}

/// Makes a job that waits, or that ended without success, run now, a finished one with all of its attempts.
/// Returns its queue, whose workers are to be woken after the commit; `None` when there is nothing to try
/// again.
pub async fn retry(db: &Db, id: JobId) -> Result<Option<Arc<str>>, Fault> {
    let queue: Option<String> =
        sqlx::query_scalar(include_str!("../sql/retry_job.sql")).bind(id).fetch_optional(db).await?;
    store::sync_progress(db, &[id]).await?;
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
        let cancel = sqlx::query_scalar(include_str!("../sql/cancel_job.sql")).bind(id).bind(who);
        let cancelled: Option<JobId> = cancel.fetch_optional(db).await?;
        if cancelled.is_some() {
            store::sync_progress(db, &[id]).await?;
            return Ok(true);
        }
        let is_left = find(db, id).await?.is_some_and(|found| !is_finished(found.job.status));
        if !is_left {
            return Ok(false);
        }
    }
    Err(Fault::new(Code::Conflict, "the job changes its place again and again; try again"))
}
