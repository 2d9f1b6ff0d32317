//! The telemetry subsystem: writes the crash journal to the database, and keeps the metrics small.
//!
//! ```text
//!   telemetry (one_for_one)
//!   ├ crashes            writes new crashes of the journal to `forge_crashes`, once a second
//!   ├ crash_expiry       deletes old rows of `forge_crashes`, on the leader of `maintenance`
//!   └ metrics            folds recorded durations into histograms; only where a gateway serves `/metrics`
//! ```
//!
//! The journal is a bounded ring in memory, so telemetry never slows or fails the actors that it reports on.
//! While the database is down, crashes stay in the ring and are written later. Crashes that the ring drops
//! meanwhile are counted and logged.

mod crash_expiry;
mod crash_writer;
mod metrics_upkeep;
pub mod paths;
pub mod signals;
pub mod store;
pub mod subsystem;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use self::crash_expiry::OldCrashes;
use self::crash_writer::WriteCrashes;
use self::metrics_upkeep::FoldMetrics;
use self::paths::{CRASH_EXPIRY, CRASHES, METRICS};
use crate::db::database::Database;
use crate::kernel::ids::NodeId;
use crate::leader::{Term, expiry};
use crate::supervise::{ChildSpec, Tree};

/// The children of the subsystem. They write the crashes of `tree` as those of `node`; `metrics` renders
/// `/metrics`, and is `None` in a node without a gateway. While `terms` has a term of
/// [`MAINTENANCE`](crate::leader::MAINTENANCE), this node deletes old crashes.
pub fn children(
    node: NodeId,
    database: &Database,
    tree: &Arc<Tree>,
    metrics: Option<PrometheusHandle>,
    terms: watch::Receiver<Option<Term>>,
) -> Vec<ChildSpec> {
    // The position outlives restarts of the writer, so that no crash is written twice.
    let written = Arc::new(AtomicU64::new(0));
    let (writer_database, tree) = (database.clone(), Arc::clone(tree));
    let (writer, _) = ChildSpec::periodic(CRASHES.id(), crash_writer::SCHEDULE, move || WriteCrashes {
        node,
        database: writer_database.clone(),
        tree: Arc::clone(&tree),
        written: Arc::clone(&written),
    });
    let expiry = expiry(&CRASH_EXPIRY, database.clone(), terms, OldCrashes);
    let upkeep = metrics.map(|handle| {
        ChildSpec::periodic(METRICS.id(), metrics_upkeep::SCHEDULE, move || FoldMetrics {
            handle: handle.clone(),
        })
        .0
    });
    [writer, expiry].into_iter().chain(upkeep).collect()
}
