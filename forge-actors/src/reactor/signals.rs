//! Metrics and log lines of the reactor.

use std::sync::Arc;
use std::time::Duration;

use super::relations::Untracked;
use crate::kernel::time::format_duration;

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
/// Seconds of a run in a lane.
pub const LANE_RUN_SECONDS: &str = "forge_live_lane_run_duration_seconds";
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
/// Counts results that became `OVERLOADED`, since `reactivity.results_bytes_max` was used up.
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

pub(super) fn lane_run(took: Duration) {
    metrics::histogram!(LANE_RUN_SECONDS).record(took);
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

/// A tick took too long; `slowest` is the query of the tick that took longest, and how long it took.
pub(super) fn log_slow_tick(took: Duration, slowest: Option<(Arc<str>, Duration)>) {
    let took = format_duration(took);
    match slowest {
        Some((handler, longest)) => {
            let longest = format_duration(longest);
            tracing::warn!(
                took,
                %handler,
                longest,
                "a tick took longer than reactivity.tick_budget; all live queries wait for it"
            );
        }
        None => tracing::warn!(
            took,
            "a tick without queries took longer than reactivity.tick_budget: the database answered late; all \
             live queries wait for it"
        ),
    }
}

/// A live query is slow, and is moved to the lanes.
pub(super) fn log_slow(handler: &str, took: Duration, anonymous: bool) {
    let took = format_duration(took);
    let caller = if anonymous { "an anonymous client" } else { "a signed-in client" };
    tracing::warn!(
        handler,
        %took,
        caller,
        "a live query took longer than reactivity.slow_after and now runs on a connection of its own \
         (reactivity.lanes_max); its subscribers advance at its pace"
    );
}

/// A live query reads what no trigger captures.
pub(super) fn warn_untracked(handler: &str, relation: &Untracked, interval: Duration) {
    let interval = format_duration(interval);
    match relation {
        Untracked::Uncaptured(table) => tracing::warn!(
            handler,
            %table,
            "a live query reads a table whose changes are not captured, and runs again every {interval}; \
             enable capture: select forge_enable_reactivity('{table}')"
        ),
        Untracked::Uncapturable(relation) => tracing::warn!(
            handler,
            %relation,
            "a live query reads what no trigger can capture (a materialised view, a foreign table, \
             a sequence), and runs again every {interval}; say how often by \
             #[forge::query(refresh = \"..\")]"
        ),
        Untracked::System => tracing::warn!(
            handler,
            "a live query reads the server's own views, and runs again every {interval}; say how often by \
             #[forge::query(refresh = \"..\")]"
        ),
    }
}
