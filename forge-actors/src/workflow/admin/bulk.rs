//! An action on all runs that match a filter, batch by batch. A batch that is done twice changes nothing the
//! second time, since each action is guarded by the state of its runs; so a bulk keeps its place in memory.

use std::fmt;

use super::action::WorkflowAction;
use super::apply::{ChangedRuns, RunChange, apply};
use super::filter::{WorkflowFilter, WorkflowSearch};
use super::list::{WorkflowPage, list};
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::kernel::time::Timestamp;

/// Runs of one batch.
const BATCH_MAX: u16 = 200;

/// An action on many runs.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowBulk {
    /// What is done.
    pub action: WorkflowAction,
    /// To which runs.
    pub filter: WorkflowFilter,
    /// Who asked for it.
    pub who: String,
    /// Why.
    pub reason: Option<String>,
    /// When it was asked for. Runs that were started later are left alone.
    pub started_at: Timestamp,
    /// How many runs matched when they were counted before.
    pub expected: Option<u32>,
}

/// What a bulk has done.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkflowBulkCounts {
    /// Runs that were changed.
    pub done: u32,
    /// Runs that had changed meanwhile, or to which the action could not be done.
    pub skipped: u32,
}

impl fmt::Display for WorkflowBulkCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} done, {} skipped", self.done, self.skipped)
    }
}

/// What a batch has done.
#[derive(Debug, Default)]
pub struct WorkflowBulkBatch {
    /// The runs that it has changed.
    pub changed: ChangedRuns,
    /// What it has done.
    pub counts: WorkflowBulkCounts,
    /// Where the next batch begins; `None` after the last one.
    pub next: Option<RunId>,
}

/// Does the batch of a bulk that begins before `before`. `change` is what the bulk does.
pub async fn bulk_batch(
    db: &Db,
    bulk: &WorkflowBulk,
    change: RunChange<'_>,
    before: Option<RunId>,
) -> Result<WorkflowBulkBatch, Fault> {
    let page = match WorkflowSearch::new(bulk.filter.clone())?.narrowed_to(bulk.action) {
        Some(search) => list(db, &search, before, BATCH_MAX).await?,
        None => WorkflowPage::default(),
    };
    let earlier = page.rows.iter().filter(|row| row.created_at <= bulk.started_at);
    let ids: Vec<RunId> = earlier.map(|row| row.id).collect();
    let changed = if ids.is_empty() { ChangedRuns::default() } else { apply(db, change, &ids).await? };
    let count = |runs: usize| u32::try_from(runs).unwrap_or(u32::MAX);
    let counts =
        WorkflowBulkCounts { done: count(changed.ids.len()), skipped: count(ids.len() - changed.ids.len()) };
    Ok(WorkflowBulkBatch { changed, counts, next: page.next })
}
