//! What an administrator sees of runs of workflows and does with them. Every function runs its statements on
//! the `db` of its caller, so that they belong to the caller's snapshot or transaction.
//!
//! As for jobs, no question of an open page costs more than a bounded number of rows: numbers are exact up to
//! a bound, and lists say how far they looked.

mod action;
mod apply;
mod bulk;
mod filter;
mod find;
mod history;
mod list;
mod matches;
mod missing;
mod prefix;
mod rewind;
mod rows;
mod status;
mod totals;
mod waiting;

pub use action::WorkflowAction;
pub(super) use apply::TERMINATED;
pub use apply::{ChangedRuns, RunChange, apply, skip_compensation};
pub use bulk::{WorkflowBulk, WorkflowBulkBatch, WorkflowBulkCounts, bulk_batch};
pub use filter::{WorkflowAttribute, WorkflowFilter, WorkflowSearch};
pub use find::{WorkflowSteps, find, find_step, list_steps};
pub use history::{HistoryRun, HistoryStep, WorkflowHistoryPart, history_part};
pub use list::{WorkflowPage, WorkflowVersion, list};
pub use matches::{WorkflowMatches, count_matches};
pub(crate) use missing::missing;
pub use prefix::{NoPrefix, RunPrefix, find_by_prefix};
pub use rewind::{ForkedRun, fork, retry_from};
pub(super) use rows::status as status_of;
pub use rows::{
    WorkflowAttempt, WorkflowChild, WorkflowDetail, WorkflowDivergence, WorkflowFailure, WorkflowRequest,
    WorkflowRow, WorkflowStep, WorkflowWait,
};
pub use status::WorkflowStatus;
pub use totals::{WorkflowStatusCount, WorkflowTotals, WorkflowVersionCount, totals};
pub use waiting::count_waiting;
