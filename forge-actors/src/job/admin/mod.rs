//! What an administrator sees of jobs and does with them. Every function runs its statements on the `db` of
//! its caller, so that they belong to the caller's snapshot or transaction.
//!
//! A dashboard that is open asks again and again. So no question costs more than a bounded number of rows,
//! however many jobs wait or are finished: numbers are exact up to a bound, and lists say how far they
//! looked.

mod action;
mod apply;
mod bulk;
mod bulk_progress;
mod cause;
mod clone;
mod filter;
mod find;
mod list;
mod matches;
mod queues;
mod rows;
mod serve;
mod settings;
mod totals;
mod why;

pub use action::JobAction;
pub use apply::{ChangedJobs, apply};
pub use bulk::{BulkBatch, BulkCounts, NewBulk, begin_bulk, bulk_batch, end_bulk, find_bulk};
pub use bulk_progress::BulkProgress;
pub use cause::{JobCause, JobExplanation};
pub use clone::{StoredJob, find_stored, with_secrets};
pub use filter::{JobArgument, JobFilter, JobSearch, JobWait};
pub use find::{find, outcomes};
pub use list::{JobPage, list};
pub use matches::{JobMatches, count_matches};
pub use queues::{JobWaits, QueueRow, QueuesPage, WaitBucket, queues, waits};
pub use rows::{AttemptFailure, JobDetail, JobLogLine, JobRow, JobSummary};
pub use settings::{limit_queue, pause_queue, resume_queue};
pub use totals::{BoundedCount, JobCounts, JobTotals, StatusCount, count, totals};
pub use why::{Surroundings, explain};
