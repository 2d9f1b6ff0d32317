//! Deletes old rows of the jobs' history, with progress, log lines and dependencies, and keys that have
//! expired, bulks, and rows of buffers, while this node leads [`JOB_MAINTENANCE`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::retention::{RetentionClass, classes};
use super::shared::JobShared;
use super::store::DELETE_MAX;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::{hours, minutes};
use crate::leader::{Leadership, OldRows};

/// Its leader deletes old history. Nodes with the role `worker` stand for it.
pub const JOB_MAINTENANCE: Leadership = Leadership::new("jobs");
/// How far before the end of the last complete run a run looks again. A row that a batch lease kept from
/// being deleted is no older than an attempt may last, which is a day.
const OVERLAP: Duration = hours(26);

#[derive(Clone)]
pub(super) struct OldHistory {
    shared: Arc<JobShared>,
    classes: Arc<Vec<RetentionClass>>,
    /// When the last batch was committed that was not a full one. The next one skips older rows: they are
    /// kept for longer than their neighbours, and would be read again and again.
    done: Arc<MergeSlot<Instant>>,
}

impl OldHistory {
    pub(super) fn new(shared: Arc<JobShared>) -> Self {
        let jobs = shared.functions.catalog().queued();
        let retained =
            jobs.filter_map(|(name, known)| Some((name.to_owned(), known.meta.job_meta()?.retain?)));
        let classes = Arc::new(classes(&shared.config, retained));
        Self { shared, classes, done: Arc::new(MergeSlot::new()) }
    }
}

impl OldRows for OldHistory {
    const KIND: &'static str = "history_expiry";
    const INTERVAL: Duration = minutes(10);
    const BATCH_MAX: u32 = DELETE_MAX;

    async fn delete(&self, db: &Db) -> Result<u64, Fault> {
        let since = self.done.get().map(|done| done.elapsed() + OVERLAP);
        let named: Vec<&str> = self
            .classes
            .iter()
            .filter_map(|class| class.names.as_deref())
            .flatten()
            .map(String::as_str)
            .collect();
        let store = &self.shared.store;
        let mut deleted = 0;
        for class in &*self.classes {
            let left = u64::from(DELETE_MAX).saturating_sub(deleted);
            deleted += store.delete_history(db, class, &named, since, left).await?;
        }
        if deleted < u64::from(DELETE_MAX) {
            deleted += store.delete_expired(db).await?;
            // The progress of a job is kept no shorter than its history, and neither are dependencies that
            // did not go with the history of their jobs.
            let kept = self.classes.iter().map(|class| class.kept).max().unwrap_or_default();
            deleted += store.delete_old_progress(db, kept).await?;
            deleted += store.delete_old_dependencies(db, kept).await?;
        }
        Ok(deleted)
    }

    fn committed(&self, deleted: u64) {
        if deleted < u64::from(DELETE_MAX) {
            self.done.put(|done| *done = Some(Instant::now()));
        }
    }
}
