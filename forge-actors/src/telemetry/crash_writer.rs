//! Writes the crashes of the journal to `forge_crashes`.
//!
//! Each run takes the crashes that are new since the last one, merges equal crashes into one row with a
//! count, and appends the rows: a handler that panics ten thousand times a minute makes sixty rows. Of a row
//! that the database refuses, which its encoding may do, the texts are written in ASCII and without the
//! backtrace; a row that is refused even then is logged and counted as lost. When the database fails while a
//! batch with such a row is being written, rows of that batch may be there twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::signals;
use super::store::{self, CrashRow};
use crate::db::database::Database;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::halving::{RefusedRow, write_by_halves};
use crate::kernel::ids::NodeId;
use crate::kernel::storable::without_nul;
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
    async fn write_new(&self) -> Result<u64, Fault> {
        let new = self.tree.journal().crashes_since(self.written.load(Ordering::Relaxed));
        let Some(last) = new.entries.last().map(|crash| crash.seq) else { return Ok(0) };
        if !self.database.state().borrow().is_up() {
            return Ok(0);
        }
        let count = new.entries.len() as u64;
        self.write(merge_equal(new.entries)).await?;
        self.written.store(last, Ordering::Relaxed);
        if new.lost > 0 {
            signals::crashes_lost(new.lost);
            tracing::warn!(lost = new.lost, "the crash journal dropped crashes before they were written");
        }
        Ok(count)
    }

    async fn write(&self, rows: Vec<CrashRow>) -> Result<(), Fault> {
        let refused = self.insert(&rows).await?;
        if refused.is_empty() {
            return Ok(());
        }
        let plain: Vec<CrashRow> =
            refused.iter().map(|RefusedRow { row, fault }| rows[*row].plain(fault)).collect();
        for RefusedRow { row, fault } in self.insert(&plain).await? {
            signals::crashes_lost(plain[row].occurrences.unsigned_abs().into());
            tracing::error!(
                path = plain[row].crash.path,
                cause = plain[row].cause,
                error = error_chain(&fault),
                "crash refused by the database: it is not recorded"
            );
        }
        Ok(())
    }

    /// Appends rows; returns those that the database refused.
    async fn insert(&self, rows: &[CrashRow]) -> Result<Vec<RefusedRow>, Fault> {
        let db = self.database.writer();
        let batch =
            write_by_halves(rows.len(), |part| store::insert_crashes(&db, self.node, &rows[part])).await?;
        Ok(batch.refused)
    }
}

impl Duty for WriteCrashes {
    type Term = ();
    const KIND: &'static str = "crashes";

    async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
        Ok(RunReport::handled(self.write_new().await?))
    }

    async fn finish(&mut self) {
        if let Err(fault) = self.write_new().await {
            tracing::warn!(error = error_chain(&fault), "the last crashes were not written to the database");
        }
    }
}

/// Merges crashes with the same path, message and cause.
pub(super) fn merge_equal(crashes: Vec<Crash>) -> Vec<CrashRow> {
    let mut rows: Vec<CrashRow> = Vec::new();
    let mut index = HashMap::new();
    for crash in crashes {
        let location =
            crash.location.as_ref().map(|location| format!(" (at {location})")).unwrap_or_default();
        let cause = without_nul(&format!("{}{location}", crash.cause));
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
