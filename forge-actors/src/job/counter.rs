//! The counter: counts the jobs that are not finished, for this node's metrics and claimer, and reports those
//! that this binary has no handler for. Every node counts, since each binary has its own handlers. The
//! counter also finds out whether its node may claim in batches, and how large the tables of jobs are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::messages::ClaimerMessage;
use super::paths::COUNTER;
use super::shared::JobShared;
use super::signals;
use super::store::{QueueCount, TableSize};
use crate::app::JobStatus;
use crate::kernel::fault::Fault;
use crate::kernel::time::minutes;
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Between two counts.
const INTERVAL: Duration = minutes(1);

pub(super) struct Counter {
    shared: Arc<JobShared>,
    /// Names of jobs without a handler that the log has named already.
    reported: BTreeSet<String>,
    /// The gauges that were set, by queue and status, so that one without jobs falls to zero.
    gauges: BTreeSet<(String, JobStatus)>,
}

impl Counter {
    pub(super) fn spec(shared: Arc<JobShared>) -> ChildSpec {
        let schedule = Schedule { first_within: Duration::ZERO, ..Schedule::every(INTERVAL) };
        let make =
            move || Self { shared: Arc::clone(&shared), reported: BTreeSet::new(), gauges: BTreeSet::new() };
        ChildSpec::periodic(COUNTER.id(), schedule, make).0
    }

    fn publish(&mut self, counts: &[QueueCount]) {
        let (known, unknown): (Vec<&QueueCount>, Vec<&QueueCount>) =
            counts.iter().partition(|count| self.shared.functions.catalog().get(&count.name).is_some());
        let queues = known.iter().map(|count| count.queue.as_str().into()).collect();
        // The next count finds queues again that a claimer without free mailbox places misses.
        self.shared.claimer.notify(ClaimerMessage::QueuesFound { queues });
        let mut rows: BTreeMap<(String, JobStatus), i64> =
            self.gauges.iter().map(|gauge| (gauge.clone(), 0)).collect();
        for count in &known {
            *rows.entry((count.queue.clone(), count.status)).or_default() += count.rows;
        }
        for ((queue, status), rows) in &rows {
            metrics::gauge!(signals::JOBS_UNFINISHED, "queue" => queue.clone(), "status" => status.as_str())
                .set(*rows as f64);
        }
        self.gauges = rows.into_keys().collect();
        let without_handler: i64 = unknown.iter().map(|count| count.rows).sum();
        metrics::gauge!(signals::JOBS_WITHOUT_HANDLER).set(without_handler as f64);
        let names: BTreeSet<String> = unknown.iter().map(|count| count.name.clone()).collect();
        for name in names.difference(&self.reported) {
            tracing::warn!(
                handler = %name,
                "jobs wait that this binary has no handler for; deploy one, give one the attribute `alias`, \
                 or cancel them"
            );
        }
        self.reported = names;
    }
}

fn publish_size(size: &TableSize) {
    let rows = [("live", size.live), ("dead", size.dead)];
    for (state, rows) in rows {
        metrics::gauge!(signals::JOB_TABLE_ROWS, "table" => size.name.clone(), "state" => state)
            .set(rows as f64);
    }
    let bytes = [("rows", size.row_bytes), ("indexes", size.index_bytes)];
    for (part, bytes) in bytes {
        metrics::gauge!(signals::JOB_TABLE_BYTES, "table" => size.name.clone(), "part" => part)
            .set(bytes as f64);
    }
}

impl Duty for Counter {
    type Term = ();
    const KIND: &'static str = "counter";

    async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
        if !self.shared.database.state().borrow().is_up() {
            return Ok(RunReport::NOTHING);
        }
        let counts = self.shared.store.count_unfinished().await?;
        self.publish(&counts);
        self.shared.store.table_sizes().await?.iter().for_each(publish_size);
        self.shared.choose_claims().await?;
        Ok(RunReport::NOTHING)
    }
}
