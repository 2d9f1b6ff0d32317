//! Deletes the rows of nodes that died long ago, on the leader of the maintenance.

use std::time::Duration;

use super::store;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::time::hours;
use crate::leader::OldRows;

/// How long the row of a dead node is kept.
const RETENTION: Duration = hours(24);

#[derive(Clone)]
pub(super) struct DeadNodes;

impl OldRows for DeadNodes {
    const KIND: &'static str = "node_expiry";
    const INTERVAL: Duration = hours(1);
    const BATCH_MAX: u32 = u32::MAX;

    async fn delete(&self, db: &Db) -> Result<u64, Fault> {
        Ok(store::forget(db, RETENTION).await?)
    }
}
