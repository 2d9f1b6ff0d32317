//! Metrics of the function subsystem. Metric handles are made once for each handler: a label built for each
//! call would cost more than the count.

use std::collections::HashMap;
use std::time::Duration;

use metrics::{Counter, Histogram};

use crate::app::Catalog;

/// Counter: calls by `handler` and `outcome` (`ok`, `fault`, `internal`, `panic`, `timeout`, `cancelled`).
pub const CALLS_TOTAL: &str = "forge_calls_total";
/// Histogram, seconds: from admission to answer, by `handler`.
pub const CALL_SECONDS: &str = "forge_call_duration_seconds";
/// Counter: tries of queries and mutations beyond the first, by `handler`.
pub const RETRIES_TOTAL: &str = "forge_call_retries_total";
/// Counter: calls that were refused because a limit of calls was reached, by `limit` (`node`, `function`,
/// `caller`, `handler`), or no thread was free (`threads`).
pub const CALLS_REFUSED_TOTAL: &str = "forge_calls_refused_total";
/// Gauge: handlers that have blocked their thread for longer than a second.
pub const HANDLERS_BLOCKING: &str = "forge_handlers_blocking";
/// Gauge, seconds: age of the longest block of a thread by a handler; 0 without one.
pub const HANDLER_BLOCK_LONGEST_SECONDS: &str = "forge_handler_block_longest_seconds";
/// Gauge, seconds: how long no thread of handlers has finished a poll, once that is about 4 s; 0 otherwise.
pub const HANDLER_THREADS_STALLED_SECONDS: &str = "forge_handler_threads_stalled_seconds";
/// Gauge: calls that run now, runs of live queries and attempts of jobs included.
pub const CALLS_IN_FLIGHT: &str = "forge_calls_in_flight";

/// Counts a call that was refused since no thread was free. Runs of live queries are tried again, and not
/// counted.
pub(super) fn count_without_thread() {
    metrics::counter!(CALLS_REFUSED_TOTAL, "limit" => "threads").increment(1);
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallOutcome {
    Ok,
    Fault,
    Internal,
    Panic,
    Timeout,
    Cancelled,
}

const OUTCOMES: [(CallOutcome, &str); 6] = [
    (CallOutcome::Ok, "ok"),
    (CallOutcome::Fault, "fault"),
    (CallOutcome::Internal, "internal"),
    (CallOutcome::Panic, "panic"),
    (CallOutcome::Timeout, "timeout"),
    (CallOutcome::Cancelled, "cancelled"),
];

/// The metric handles of one handler.
pub(super) struct HandlerMetrics {
    outcomes: [Counter; OUTCOMES.len()],
    seconds: Histogram,
    retries: Counter,
}

impl HandlerMetrics {
    fn new(name: &str) -> Self {
        let label = || name.to_owned();
        Self {
            outcomes: OUTCOMES.map(
                |(_, outcome)| metrics::counter!(CALLS_TOTAL, "handler" => label(), "outcome" => outcome),
            ),
            seconds: metrics::histogram!(CALL_SECONDS, "handler" => label()),
            retries: metrics::counter!(RETRIES_TOTAL, "handler" => label()),
        }
    }

    pub(super) fn ended(&self, outcome: CallOutcome, took: Duration) {
        self.outcomes[outcome as usize].increment(1);
        self.seconds.record(took);
    }

    pub(super) fn retried(&self) {
        self.retries.increment(1);
    }
}

/// The metric handles of every handler in the catalog.
pub(super) fn for_catalog(catalog: &Catalog) -> HashMap<String, HandlerMetrics> {
    catalog.iter().map(|(name, _)| (name.to_owned(), HandlerMetrics::new(name))).collect()
}
