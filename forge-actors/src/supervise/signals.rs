//! Metrics of supervision.

use super::duty::DutyOutcome;

/// Notifications that were dropped because the actor's mailbox was full, by its kind.
pub const NOTIFICATIONS_DROPPED_TOTAL: &str = "forge_actor_notifications_dropped_total";
/// Runs of periodic duties that ended, by the kind of the duty and by [`DutyOutcome`].
pub const DUTY_RUNS_TOTAL: &str = "forge_duty_runs_total";

pub(super) fn notification_dropped(kind: &'static str) {
    metrics::counter!(NOTIFICATIONS_DROPPED_TOTAL, "actor" => kind).increment(1);
}

pub(super) fn duty_run(kind: &'static str, outcome: &DutyOutcome) {
    metrics::counter!(DUTY_RUNS_TOTAL, "duty" => kind, "outcome" => outcome.label()).increment(1);
}
