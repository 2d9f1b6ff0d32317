//! Deletes terms that ended long ago, on the leader of the maintenance.

use std::time::Duration;

use super::expiry::OldRows;
use super::store;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::time::hours;

#[derive(Clone)]
pub(super) struct OldTerms {
    pub(super) retention: Duration,
}

impl OldRows for OldTerms {
    const KIND: &'static str = "term_expiry";
    const INTERVAL: Duration = hours(1);
    const BATCH_MAX: u32 = store::DELETE_MAX;

    async fn delete(&self, db: &Db) -> Result<u64, Fault> {
        Ok(store::delete_old_terms(db, self.retention).await?)
    }
}
