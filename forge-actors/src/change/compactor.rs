//! Deletes changes that every reader has had time to see.
//!
//! Each node has one; an advisory lock of the transaction lets one sweep at a time. While the database is
//! away it waits: that is a state of the database, no failure of the compactor. A sweep that fails is tried
//! again with backoff; meanwhile the table grows, nothing else. Where no event trigger reports DDL, it also
//! looks for new partitions and changed definitions; and each sweep is an occasion to compare what is
//! captured with what should be.

use std::time::Duration;

use crate::db::database::Database;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::time::{format_duration, millis, minutes, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

use super::config::{CaptureConfig, SWEEP_EVERY_MAX};
use super::hints::Hints;
use super::store::{self, SWEEP_ROWS_MAX, Swept};

/// Between batches, so that a long sweep leaves the disk to others.
const BATCH_PAUSE: Duration = millis(20);
/// After failures.
const RETRY: Backoff = Backoff::exponential(secs(1), minutes(1));
/// How much later than its retention a change may go, as a part of it.
const RETENTION_PARTS: u32 = 10;

/// Changes that were deleted.
pub const CHANGES_DELETED_TOTAL: &str = "forge_changes_deleted_total";

/// Messages of the compactor.
#[derive(forge_app_macros::Message)]
pub enum CompactorMessage {
    /// Delete a batch.
    Sweep,
}

/// The actor.
#[derive(Debug, Clone)]
pub struct Compactor {
    database: Database,
    retention: Duration,
    hints: Hints,
}

/// What it waits for.
pub struct Schedule {
    failed: u32,
    /// Without event triggers: said once.
    said: bool,
    next: Timer,
}

impl Compactor {
    /// The child.
    pub fn spec(database: Database, config: &CaptureConfig, hints: Hints) -> ChildSpec {
        let compactor = Self { database, retention: config.retention, hints };
        ChildSpec::actor("compactor", move || compactor.clone()).0
    }

    /// Between sweeps that find little to do.
    fn every(&self) -> Duration {
        (self.retention / RETENTION_PARTS).min(SWEEP_EVERY_MAX)
    }

    /// The delay until the next sweep.
    async fn sweep(&self, schedule: &mut Schedule) -> Duration {
        if !self.database.state().borrow().is_up() {
            return self.every();
        }
        match self.try_sweep(&mut schedule.said).await {
            Ok(more) => {
                schedule.failed = 0;
                if more {
                    return BATCH_PAUSE;
                }
                // Also when another node swept: it may run other models.
                self.hints.suspect_definitions();
                self.every()
            }
            Err(error) => {
                tracing::warn!(%error, "old changes were not deleted; trying again");
                let delay = RETRY.jittered(schedule.failed);
                schedule.failed = schedule.failed.saturating_add(1);
                delay
            }
        }
    }

    /// True when there is more to delete.
    async fn try_sweep(&self, said: &mut bool) -> Result<bool, Fault> {
        let swept = store::sweep(&self.database, self.retention, self.every()).await?;
        let Some(Swept { deleted }) = swept else { return Ok(false) };
        metrics::counter!(CHANGES_DELETED_TOTAL).increment(deleted);
        let more = deleted >= SWEEP_ROWS_MAX.unsigned_abs();
        if !more && let Some(changed) = store::check_definitions(&self.database).await? {
            if !std::mem::replace(said, true) {
                let late = format_duration(self.every());
                tracing::info!(
                    late,
                    "no event trigger reports DDL here (its creation takes a superuser): live queries hear of it this much later"
                );
            }
            tracing::debug!(changed, "compared definitions");
        }
        Ok(more)
    }
}

impl Actor for Compactor {
    type Message = CompactorMessage;
    type State = Schedule;
    const KIND: &'static str = "compactor";

    async fn start(&self, cx: &Context<CompactorMessage>) -> Result<Schedule, ActorError> {
        // Nodes that start together need not sweep together.
        let first = self.every().mul_f64(fastrand::f64());
        Ok(Schedule { failed: 0, said: false, next: cx.send_after(first, CompactorMessage::Sweep) })
    }

    async fn handle(
        &self,
        cx: &Context<CompactorMessage>,
        message: CompactorMessage,
        schedule: &mut Schedule,
    ) -> Result<(), ActorError> {
        match message {
            CompactorMessage::Sweep => {
                let delay = self.sweep(schedule).await;
                schedule.next = cx.send_after(delay, CompactorMessage::Sweep);
            }
        }
        Ok(())
    }
}
