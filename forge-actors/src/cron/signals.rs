//! Metrics of the cron subsystem. Values of the label `handler` are wire names of this binary's own crons.

use std::time::Duration;

/// Counter: times that came, by `handler` and `outcome`: `dispatched`, `caught_up`, `waiting`, `missed`,
/// `overlap`, `queue_full`. Only the leader counts.
pub const CRON_TIMES_TOTAL: &str = "forge_cron_times_total";
/// Histogram, seconds: from the time of a run that was not missed to its dispatch.
pub const CRON_DISPATCH_DELAY_SECONDS: &str = "forge_cron_dispatch_delay_seconds";
/// Gauge: schedules by `state`: `active`, `paused`, `absent`, `broken`. Only the leader counts.
pub const CRON_SCHEDULES: &str = "forge_cron_schedules";

/// Counts times that came.
pub(super) fn times(handler: &str, outcome: &'static str, times: u64) {
    metrics::counter!(CRON_TIMES_TOTAL, "handler" => handler.to_owned(), "outcome" => outcome)
        .increment(times);
}

/// Measures how late a run was dispatched.
pub(super) fn dispatched(delay: Duration) {
    metrics::histogram!(CRON_DISPATCH_DELAY_SECONDS).record(delay);
}

/// Sets how many schedules there are.
pub(super) fn schedules(state: &'static str, count: i64) {
    metrics::gauge!(CRON_SCHEDULES, "state" => state).set(count as f64);
}
