//! Deletes the rows of crashes that happened long ago, on the leader of the maintenance.

use std::time::Duration;

use super::store;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::time::{days, hours};
use crate::leader::OldRows;

/// How long the row of a crash is kept.
const RETENTION: Duration = days(30);

#[derive(Clone)]
pub(super) struct OldCrashes;

impl OldRows for OldCrashes {
    const KIND: &'static str = "crash_expiry";
    const INTERVAL: Duration = hours(1);
    const BATCH_MAX: u32 = store::DELETE_MAX;

    async fn delete(&self, db: &Db) -> Result<u64, Fault> {
        Ok(store::delete_old_crashes(db, RETENTION).await?)
    }
}
