//! Deletes old rows of the jobs' history, and keys that have expired, while this node leads
//! [`JOB_MAINTENANCE`].

use std::sync::Arc;
use std::time::Duration;

use super::shared::JobShared;
use super::store::DELETE_MAX;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::time::minutes;
use crate::leader::{Leadership, OldRows};

/// Its leader deletes old history. Nodes with the role `worker` stand for it.
pub const JOB_MAINTENANCE: Leadership = Leadership::new("jobs");

#[derive(Clone)]
pub(super) struct OldHistory {
    pub(super) shared: Arc<JobShared>,
}

impl OldRows for OldHistory {
    const KIND: &'static str = "history_expiry";
    const INTERVAL: Duration = minutes(10);
    const BATCH_MAX: u32 = DELETE_MAX;

    async fn delete(&self, db: &Db) -> Result<u64, Fault> {
        let store = &self.shared.store;
        Ok(store.delete_history(db, self.shared.config.retention).await? + store.delete_keys(db).await?)
    }
}
