//! Deletes old idempotency keys, on the leader of the maintenance.

use std::time::Duration;

use super::idempotency;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::time::minutes;
use crate::leader::OldRows;

#[derive(Clone)]
pub(super) struct OldKeys;

impl OldRows for OldKeys {
    const KIND: &'static str = "key_expiry";
    const INTERVAL: Duration = minutes(10);
    const BATCH_MAX: u32 = idempotency::DELETE_MAX;

    async fn delete(&self, db: &Db) -> Result<u64, Fault> {
        idempotency::delete_old_keys(db).await
    }
}
