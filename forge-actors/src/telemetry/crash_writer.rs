//! Writes the crashes of the journal to `forge_crashes`.
//!
//! Each run takes the crashes that are new since the last one, merges equal crashes into one row with a
//! count, and appends the rows: a handler that panics ten thousand times a minute makes sixty rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::signals;
use super::store::{self, CrashRow};
use crate::db::database::Database;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::ids::NodeId;
use crate::kernel::time::secs;
use crate::supervise::{Crash, Duty, RunReport, Schedule, Tree};

/// Once a second. After a failed write the pause grows to five seconds; the ring keeps the crashes meanwhile.
pub(super) const SCHEDULE: Schedule =
    Schedule { backoff: Backoff::exponential(secs(1), secs(5)), ..Schedule::every(secs(1)) };

pub(super) struct WriteCrashes {
    pub(super) node: NodeId,
    pub(super) database: Database,
    pub(super) tree: Arc<Tree>,
    /// Sequence number of the last crash that is in the table. Only the duty writes it.
    pub(super) written: Arc<AtomicU64>,
}

impl WriteCrashes {
    async fn write_new(&self) -> sqlx::Result<u64> {
        let new = self.tree.journal().crashes_since(self.written.load(Ordering::Relaxed));
        let Some(last) = new.entries.last().map(|crash| crash.seq) else { return Ok(0) };
        if !self.database.state().borrow().is_up() {
            return Ok(0);
        }
        let count = new.entries.len() as u64;
        store::insert_crashes(&self.database.writer(), self.node, &merge_equal(new.entries)).await?;
        self.written.store(last, Ordering::Relaxed);
        if new.lost > 0 {
            signals::crashes_lost(new.lost);
            tracing::warn!(lost = new.lost, "the crash journal dropped crashes before they were written");
        }
        Ok(count)
    }
}

impl Duty for WriteCrashes {
    type Term = ();
    const KIND: &'static str = "crashes";

    async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
        Ok(RunReport::handled(self.write_new().await?))
    }

    async fn finish(&mut self) {
        if let Err(error) = self.write_new().await {
            tracing::warn!(%error, "the last crashes were not written to the database");
        }
    }
}

/// Merges crashes with the same path, message and cause. NUL is replaced, because Postgres cannot store it.
pub(super) fn merge_equal(crashes: Vec<Crash>) -> Vec<CrashRow> {
    let mut rows: Vec<CrashRow> = Vec::new();
    let mut index = HashMap::new();
    for crash in crashes {
        let location =
            crash.location.as_ref().map(|location| format!(" (at {location})")).unwrap_or_default();
        let cause = format!("{}{location}", crash.cause.replace('\0', "\u{fffd}"));
        let row = *index.entry((crash.path.clone(), crash.message, cause.clone())).or_insert(rows.len());
        match rows.get_mut(row) {
            Some(row) => {
                row.occurrences += 1;
                row.crash = crash;
            }
            None => rows.push(CrashRow { crash, cause, occurrences: 1 }),
        }
    }
    rows
}
