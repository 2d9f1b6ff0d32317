//! The compactor: a periodic duty that deletes the changes that every reader has had time to read.
//!
//! The leader of [`CHANGES`] compacts; every write of a sweep is part of its term. While the database is
//! away, the compactor waits. Until a failed sweep succeeds, the table of changes grows. Where no event
//! trigger reports DDL, each sweep also looks for new partitions and changed definitions.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::db::database::Database;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::time::{format_duration, millis, minutes, secs};
use crate::leader::{Leadership, Term};
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

use super::config::{CaptureConfig, SWEEP_EVERY_MAX};
use super::paths::COMPACTOR;
use super::store::{self, CAPTURE_TIMEOUT, SWEEP_ROWS_MAX, SWEEP_TIMEOUT, Swept};

/// Every node stands for it; its leader runs the compactor.
pub const CHANGES: Leadership = Leadership::new("changes");

/// Between the batches of a long sweep, so that other statements get at the disk.
const BATCH_PAUSE: Duration = millis(20);
/// How long an event trigger that was found is trusted. When it is dropped, new partitions are found up to
/// this much later.
const TRIGGER_CHECK_INTERVAL: Duration = minutes(1);
/// Between attempts after a failure.
const RETRY: Backoff = Backoff::exponential(secs(1), minutes(1));
/// A run has one sweep and one comparison of definitions, each of a few statements.
const RUN_MAX: Duration = minutes(2);
/// Sweeps in the time of one retention. A change is deleted later than its retention by one interval at
/// most.
const SWEEPS_PER_RETENTION: u32 = 10;

/// Counts the deleted changes.
pub const CHANGES_DELETED_TOTAL: &str = "forge_changes_deleted_total";

/// The interval between sweeps that leave no rows to delete.
pub(super) fn interval(config: &CaptureConfig) -> Duration {
    (config.retention / SWEEPS_PER_RETENTION).min(SWEEP_EVERY_MAX)
}

/// Deletes old changes at intervals.
#[derive(Debug, Clone)]
pub struct Compactor {
    database: Database,
    retention: Duration,
    interval: Duration,
    /// Whether the log has said that no event trigger reports DDL.
    late_ddl_logged: bool,
    /// When an event trigger that reports DDL was found last.
    trigger_found_at: Option<Instant>,
}

impl Compactor {
    /// The child, which sweeps while `terms` has a term of [`CHANGES`].
    pub fn spec(
        database: Database,
        config: &CaptureConfig,
        terms: watch::Receiver<Option<Term>>,
    ) -> ChildSpec {
        let interval = interval(config);
        let compactor = Self {
            database,
            retention: config.retention,
            interval,
            late_ddl_logged: false,
            trigger_found_at: None,
        };
        let schedule = Schedule { time_limit: RUN_MAX, backoff: RETRY, ..Schedule::every(interval) };
        ChildSpec::elected(COMPACTOR.id(), schedule, terms, move || compactor.clone()).0
    }

    /// Where no event trigger reports DDL: finds new partitions and changed definitions.
    async fn check_definitions(&mut self, term: &Term) -> Result<(), Fault> {
        if self.trigger_found_at.is_some_and(|found| found.elapsed() < TRIGGER_CHECK_INTERVAL) {
            return Ok(());
        }
        let transaction = term.begin(&self.database, "compactor", CAPTURE_TIMEOUT).await?;
        let Some(changed) = store::check_definitions(transaction).await? else {
            self.trigger_found_at = Some(Instant::now());
            return Ok(());
        };
        if !std::mem::replace(&mut self.late_ddl_logged, true) {
            let delay = format_duration(self.interval);
            tracing::info!(
                delay,
                "no event trigger reports DDL in this database, since creating one takes a superuser: \
                 live queries notice changed definitions with this delay"
            );
        }
        tracing::debug!(changed, "compared definitions");
        Ok(())
    }
}

impl Duty for Compactor {
    type Term = Term;
    const KIND: &'static str = "compactor";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let transaction = term.begin(&self.database, "compactor", SWEEP_TIMEOUT).await?;
        let swept = store::sweep(transaction, self.retention, self.interval).await?;
        // The advisory lock is held: an older Forge version, which does not use elections, is sweeping.
        let Some(Swept { deleted }) = swept else { return Ok(RunReport::NOTHING) };
        metrics::counter!(CHANGES_DELETED_TOTAL).increment(deleted);
        let report = RunReport::batch(deleted, SWEEP_ROWS_MAX, BATCH_PAUSE);
        if report.again_after.is_none() {
            self.check_definitions(&term).await?;
        }
        Ok(report)
    }
}
