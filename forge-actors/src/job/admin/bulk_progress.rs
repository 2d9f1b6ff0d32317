//! How far an action on all jobs that match a filter is.

use super::action::JobAction;
use super::filter::JobFilter;
use crate::kernel::time::Timestamp;

/// How far an action on many jobs is.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkProgress {
    /// What is done to them.
    pub action: JobAction,
    /// Which jobs.
    pub filter: JobFilter,
    /// Who asked for it.
    pub by: String,
    /// When it was asked for. Jobs that were dispatched later are left alone.
    pub started_at: Timestamp,
    /// How many jobs matched when they were counted before; `None` when they were not.
    pub expected: Option<u32>,
    /// Jobs that were changed.
    pub done: u32,
    /// Jobs that had changed meanwhile, so that the action did not apply to them.
    pub skipped: u32,
    /// It goes from the newest to the oldest job, and has looked at those that were dispatched after this
    /// time; `None` before its first batch.
    pub searched_to: Option<Timestamp>,
    /// When it was finished, or ended by a person.
    pub ended_at: Option<Timestamp>,
}
