//! Deletes old runs, while this node leads [`CRON_SCHEDULE`](super::scheduler::CRON_SCHEDULE).

use std::time::Duration;

use super::store;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::time::minutes;
use crate::leader::OldRows;

#[derive(Clone)]
pub(super) struct OldRuns {
    pub(super) retention: Duration,
}

impl OldRows for OldRuns {
    const KIND: &'static str = "run_expiry";
    const INTERVAL: Duration = minutes(10);
    const BATCH_MAX: u32 = store::DELETE_MAX;

    async fn delete(&self, db: &Db) -> Result<u64, Fault> {
        store::delete_runs(db, self.retention).await
    }
}
