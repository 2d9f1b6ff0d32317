//! Metrics of the reactor.

use std::time::Duration;

/// Ticks by outcome (`ok`, `failed`).
pub const TICKS_TOTAL: &str = "forge_live_ticks_total";
/// Seconds from the start of a tick to its deliveries.
pub const TICK_SECONDS: &str = "forge_live_tick_duration_seconds";
/// Ticks that took longer than `reactivity.tick_budget`.
pub const TICKS_SLOW_TOTAL: &str = "forge_live_ticks_slow_total";
/// Runs of live queries by handler.
pub const EXECUTIONS_TOTAL: &str = "forge_live_executions_total";
/// Results told to clients.
pub const DELIVERIES_TOTAL: &str = "forge_live_deliveries_total";
/// First answers to clients that named the version they have, by outcome (`unchanged`, `changed`).
pub const RESUMES_TOTAL: &str = "forge_live_resumes_total";
/// Subscriptions now.
pub const SUBSCRIPTIONS: &str = "forge_live_subscriptions";
/// Groups now: executions that serve them.
pub const GROUPS: &str = "forge_live_groups";
/// Seconds from the hint of a commit to its deliveries.
pub const LAG_SECONDS: &str = "forge_live_lag_seconds";

pub(super) fn ticked(took: Duration, lag: Option<Duration>, slow: bool) {
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

pub(super) fn resumed(unchanged: bool) {
    metrics::counter!(RESUMES_TOTAL, "outcome" => if unchanged { "unchanged" } else { "changed" })
        .increment(1);
}

pub(super) fn sizes(subscriptions: usize, groups: usize) {
    metrics::gauge!(SUBSCRIPTIONS).set(subscriptions as f64);
    metrics::gauge!(GROUPS).set(groups as f64);
}
