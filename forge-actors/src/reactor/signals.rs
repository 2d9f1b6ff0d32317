//! Metrics of the reactor.

use std::time::Duration;

/// Counts ticks by outcome (`ok`, `failed`).
pub const TICKS_TOTAL: &str = "forge_live_ticks_total";
/// Seconds from the start of a tick to the last of its deliveries.
pub const TICK_SECONDS: &str = "forge_live_tick_duration_seconds";
/// Counts ticks that took longer than `reactivity.tick_budget`.
pub const TICKS_SLOW_TOTAL: &str = "forge_live_ticks_slow_total";
/// Counts runs of live queries by handler.
pub const EXECUTIONS_TOTAL: &str = "forge_live_executions_total";
/// Counts results that were delivered to clients.
pub const DELIVERIES_TOTAL: &str = "forge_live_deliveries_total";
/// Counts first results of clients that named the version which they have, by outcome (`unchanged`,
/// `changed`).
pub const RESUMES_TOTAL: &str = "forge_live_resumes_total";
/// Seconds of a run beside the ticks.
pub const SIDE_RUN_SECONDS: &str = "forge_live_lane_run_duration_seconds";
/// Groups that wait for a lane at present.
pub const WAITING: &str = "forge_live_waiting_groups";
/// Clients at present that have a slow query, and wait for it to advance.
pub const FROZEN: &str = "forge_live_delayed_clients";
/// Subscriptions at present.
pub const SUBSCRIPTIONS: &str = "forge_live_subscriptions";
/// Groups at present. The subscriptions of a group share their runs.
pub const GROUPS: &str = "forge_live_groups";
/// Bytes of results in memory at present.
pub const RESULT_BYTES: &str = "forge_live_result_bytes";
/// Counts results that became `OVERLOADED`, since `reactivity.results_memory_max` was used up.
pub const RESULTS_REFUSED_TOTAL: &str = "forge_live_results_refused_total";
/// Seconds from the arrival of the oldest hint that a tick answers to the last of its deliveries.
pub const LAG_SECONDS: &str = "forge_live_lag_seconds";

pub(super) fn tick_succeeded(took: Duration, lag: Option<Duration>, slow: bool) {
    metrics::counter!(TICKS_TOTAL, "outcome" => "ok").increment(1);
    metrics::histogram!(TICK_SECONDS).record(took);
    if let Some(lag) = lag {
        metrics::histogram!(LAG_SECONDS).record(lag);
    }
    if slow {
        metrics::counter!(TICKS_SLOW_TOTAL).increment(1);
    }
}

pub(super) fn tick_failed() {
    metrics::counter!(TICKS_TOTAL, "outcome" => "failed").increment(1);
}

pub(super) fn executed(handler: &str) {
    metrics::counter!(EXECUTIONS_TOTAL, "handler" => handler.to_owned()).increment(1);
}

pub(super) fn delivered(results: usize) {
    metrics::counter!(DELIVERIES_TOTAL).increment(results as u64);
}

pub(super) fn resumed(unchanged: u64, changed: u64) {
    for (outcome, count) in [("unchanged", unchanged), ("changed", changed)] {
        if count > 0 {
            metrics::counter!(RESUMES_TOTAL, "outcome" => outcome).increment(count);
        }
    }
}

pub(super) fn side_run(took: Duration) {
    metrics::histogram!(SIDE_RUN_SECONDS).record(took);
}

pub(super) fn lanes(waiting: usize, frozen: usize) {
    metrics::gauge!(WAITING).set(waiting as f64);
    metrics::gauge!(FROZEN).set(frozen as f64);
}

pub(super) fn result_refused() {
    metrics::counter!(RESULTS_REFUSED_TOTAL).increment(1);
}

pub(super) fn sizes(subscriptions: usize, groups: usize, result_bytes: usize) {
    metrics::gauge!(RESULT_BYTES).set(result_bytes as f64);
    metrics::gauge!(SUBSCRIPTIONS).set(subscriptions as f64);
    metrics::gauge!(GROUPS).set(groups as f64);
}
