//! An action on all jobs that match a filter, in batches, as a job of its own.
//!
//! A batch is one transaction: it finds the next jobs from the newest to the oldest, changes them, and notes
//! how far it came. So a bulk whose node is killed goes on behind its last batch, no job is changed twice,
//! and two attempts at one bulk take turns. Jobs that were dispatched after the bulk began, by the clock of
//! the database, are not changed. A bulk whose job a person has ended stops before its next batch.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::action::JobAction;
use super::apply::{ChangedJobs, apply};
use super::bulk_progress::BulkProgress;
use super::filter::{JobFilter, JobSearch};
use super::list::{JobPage, dispatched_at, list};
use crate::app::job::JobHandler;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::time::Timestamp;

/// Jobs of one batch.
const BATCH_MAX: u16 = 500;

/// An action on many jobs that begins.
#[derive(Debug)]
pub struct NewBulk<'a> {
    /// The job that does it.
    pub job: JobId,
    /// What is done.
    pub action: JobAction,
    /// To which jobs.
    pub filter: &'a JobFilter,
    /// Who asked for it.
    pub who: &'a str,
    /// How many jobs matched when they were counted before.
    pub expected: Option<u32>,
}

/// What a batch has done.
#[derive(Debug, Default)]
pub struct BulkBatch {
    /// Queues whose workers are to be woken, once the transaction is committed.
    pub wake: BTreeSet<Arc<str>>,
    /// Whether there is another batch.
    pub goes_on: bool,
    /// What the bulk has done so far.
    pub counts: BulkCounts,
    /// How many jobs matched when they were counted before.
    pub expected: Option<u32>,
}

/// What a bulk has done.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BulkCounts {
    /// Jobs that were changed.
    pub done: u32,
    /// Jobs that had changed meanwhile.
    pub skipped: u32,
}

impl fmt::Display for BulkCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} done, {} skipped", self.done, self.skipped)
    }
}

/// Writes the row of a bulk, in the transaction that dispatches its job.
pub async fn begin_bulk(db: &Db, bulk: NewBulk<'_>) -> Result<(), Fault> {
    sqlx::query(include_str!("../sql/insert_bulk.sql"))
        .bind(bulk.job)
        .bind(bulk.action.as_str())
        .bind(serde_json::to_string(bulk.filter).map_err(Fault::internal)?)
        .bind(bulk.who)
        .bind(bulk.expected.map(i64::from))
        .execute(db)
        .await?;
    Ok(())
}

/// Does the next batch of a bulk, in the transaction of `db`.
pub async fn bulk_batch(db: &Db, job: JobId, handlers: &[JobHandler]) -> Result<BulkBatch, Fault> {
    let lock = sqlx::query(include_str!("../sql/lock_bulk.sql")).bind(job);
    let Some(row) = lock.fetch_optional(db).await? else {
        // An attempt before has ended it, or a person.
        let ended = find_bulk(db, job).await?;
        let counts = ended.map(|BulkProgress { done, skipped, .. }| BulkCounts { done, skipped });
        return Ok(BulkBatch { counts: counts.unwrap_or_default(), ..BulkBatch::default() });
    };
    let (action, filter) = (action_of(&row)?, filter_of(&row)?);
    let (who, started_at): (&str, Timestamp) = (row.try_get("requested_by")?, row.try_get("started_at")?);
    let before: Option<JobId> = row.try_get("next_before")?;
    let expected: Option<i64> = row.try_get("expected")?;
    let page = match JobSearch::new(filter, handlers)?.narrowed_to(action) {
        Some(search) => list(db, &search, before, BATCH_MAX).await?,
        None => JobPage::default(),
    };
    let earlier = page.rows.iter().filter(|row| row.created_at <= started_at && row.id != job);
    let ids: Vec<JobId> = earlier.map(|row| row.id).collect();
    let changed = if ids.is_empty() { ChangedJobs::default() } else { apply(db, action, &ids, who).await? };
    let update = sqlx::query(include_str!("../sql/update_bulk.sql"))
        .bind(job)
        .bind(i64::try_from(changed.ids.len()).unwrap_or(i64::MAX))
        .bind(i64::try_from(ids.len() - changed.ids.len()).unwrap_or(i64::MAX))
        .bind(page.next);
    let counts = counts_of(&update.fetch_one(db).await?)?;
    Ok(BulkBatch {
        wake: changed.wake,
        goes_on: page.next.is_some(),
        counts,
        expected: expected.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
    })
}

/// Notes that a person has ended the job of a bulk. Returns what it had done; `None` when the job is of no
/// bulk, or of one that has ended.
pub async fn end_bulk(db: &Db, job: JobId) -> Result<Option<BulkCounts>, Fault> {
    let end = sqlx::query(include_str!("../sql/end_bulk.sql")).bind(job);
    Ok(end.fetch_optional(db).await?.as_ref().map(counts_of).transpose()?)
}

/// How far the bulk of a job is; `None` when the job is of none.
pub async fn find_bulk(db: &Db, job: JobId) -> Result<Option<BulkProgress>, Fault> {
    let find = sqlx::query(include_str!("../sql/find_bulk.sql")).bind(job);
    let Some(row) = find.fetch_optional(db).await? else { return Ok(None) };
    let BulkCounts { done, skipped } = counts_of(&row)?;
    let expected: Option<i64> = row.try_get("expected")?;
    let next_before: Option<JobId> = row.try_get("next_before")?;
    Ok(Some(BulkProgress {
        action: action_of(&row)?,
        filter: filter_of(&row)?,
        by: row.try_get("requested_by")?,
        started_at: row.try_get("started_at")?,
        expected: expected.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        done,
        skipped,
        searched_to: next_before.and_then(dispatched_at),
        ended_at: row.try_get("ended_at")?,
    }))
}

fn action_of(row: &PgRow) -> Result<JobAction, Fault> {
    let label: &str = row.try_get("action")?;
    JobAction::parse(label).ok_or_else(|| Fault::internal(format!("`{label}` is no action on jobs")))
}

fn filter_of(row: &PgRow) -> Result<JobFilter, Fault> {
    serde_json::from_str(row.try_get("filter")?).map_err(Fault::internal)
}

fn counts_of(row: &PgRow) -> sqlx::Result<BulkCounts> {
    let count =
        |column: &str| row.try_get::<i64, _>(column).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    Ok(BulkCounts { done: count("done")?, skipped: count("skipped")? })
}
