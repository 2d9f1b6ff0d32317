//! Deletes the changes that every reader has had time to read.
//!
//! Each node has a compactor; an advisory lock of the transaction lets one sweep at a time. While the database
//! is away, the compactor waits. A sweep that fails is tried again with backoff; until it succeeds, the table of
//! changes grows. Where no event trigger reports DDL, each sweep also looks for new partitions and changed
//! definitions. After each sweep a hint has the captures compared with the models.

use std::time::Duration;

use crate::db::database::Database;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::time::{format_duration, millis, minutes, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

use super::config::{CaptureConfig, SWEEP_EVERY_MAX};
use super::hints::{Hint, HintHub, Topic};
use super::store::{self, SWEEP_ROWS_MAX, Swept};

/// Between the batches of a long sweep, so that other statements get at the disk.
const BATCH_PAUSE: Duration = millis(20);
/// Between attempts after a failure.
const RETRY: Backoff = Backoff::exponential(secs(1), minutes(1));
/// Sweeps in the time of one retention. A change is deleted later than its retention by one interval at most.
const SWEEPS_PER_RETENTION: u32 = 10;

/// Counts the deleted changes.
pub const CHANGES_DELETED_TOTAL: &str = "forge_changes_deleted_total";

/// Messages of the compactor.
#[derive(forge_app_macros::Message)]
pub enum CompactorMessage {
    /// Delete a batch.
    Sweep,
}

/// Deletes old changes at intervals.
#[derive(Debug, Clone)]
pub struct Compactor {
    database: Database,
    retention: Duration,
    hints: HintHub,
}

/// The state of [`Compactor`].
pub struct CompactorState {
    /// Sweeps that failed in a row.
    failures: u32,
    /// Whether the log has said that no event trigger reports DDL.
    late_ddl_logged: bool,
    next: Timer,
}

impl Compactor {
    /// The child spec.
    pub fn spec(database: Database, config: &CaptureConfig, hints: HintHub) -> ChildSpec {
        let compactor = Self { database, retention: config.retention, hints };
        ChildSpec::actor("compactor", move || compactor.clone()).0
    }

    /// The interval between sweeps that leave no rows to delete.
    fn interval(&self) -> Duration {
        (self.retention / SWEEPS_PER_RETENTION).min(SWEEP_EVERY_MAX)
    }

    /// Sweeps, and returns the delay until the next sweep.
    async fn sweep(&self, state: &mut CompactorState) -> Duration {
        if !self.database.state().borrow().is_up() {
            return self.interval();
        }
        match self.try_sweep(&mut state.late_ddl_logged).await {
            Ok(more) => {
                state.failures = 0;
                if more {
                    return BATCH_PAUSE;
                }
                // Also when another node swept, because that node may run other models.
                self.hints.publish(Hint::of([Topic::Definitions]));
                self.interval()
            }
            Err(error) => {
                tracing::warn!(%error, "deleting old changes failed; trying again");
                let delay = RETRY.jittered(state.failures);
                state.failures = state.failures.saturating_add(1);
                delay
            }
        }
    }

    /// Deletes one batch, and returns true when there are more rows to delete.
    async fn try_sweep(&self, late_ddl_logged: &mut bool) -> Result<bool, Fault> {
        let swept = store::sweep(&self.database, self.retention, self.interval()).await?;
        let Some(Swept { deleted }) = swept else { return Ok(false) };
        metrics::counter!(CHANGES_DELETED_TOTAL).increment(deleted);
        let more = deleted >= SWEEP_ROWS_MAX.unsigned_abs();
        if !more && let Some(changed) = store::check_definitions(&self.database).await? {
            if !std::mem::replace(late_ddl_logged, true) {
                let delay = format_duration(self.interval());
                tracing::info!(
                    delay,
                    "no event trigger reports DDL in this database, since creating one takes a superuser: \
                     live queries notice changed definitions with this delay"
                );
            }
            tracing::debug!(changed, "compared definitions");
        }
        Ok(more)
    }
}

impl Actor for Compactor {
    type Message = CompactorMessage;
    type State = CompactorState;
    const KIND: &'static str = "compactor";

    async fn start(&self, cx: &Context<CompactorMessage>) -> Result<CompactorState, ActorError> {
        // A random first delay keeps nodes that start together from sweeping together.
        let first = self.interval().mul_f64(fastrand::f64());
        let next = cx.send_after(first, CompactorMessage::Sweep);
        Ok(CompactorState { failures: 0, late_ddl_logged: false, next })
    }

    async fn handle(
        &self,
        cx: &Context<CompactorMessage>,
        message: CompactorMessage,
        state: &mut CompactorState,
    ) -> Result<(), ActorError> {
        match message {
            CompactorMessage::Sweep => {
                let delay = self.sweep(state).await;
                state.next = cx.send_after(delay, CompactorMessage::Sweep);
            }
        }
        Ok(())
    }
}
