//! Metrics of the elections. `leadership` is one of the constants that subsystems declare.

use super::leadership::Leadership;
use super::state::TermEnd;

/// Gauge: 1 while this node leads `leadership`, 0 while it is a candidate.
pub const LEADING: &str = "forge_leader_leading";
/// Counter: elections that this node won, by `leadership`.
pub const ELECTIONS_TOTAL: &str = "forge_leader_elections_total";
/// Counter: terms of this node that ended, by `leadership` and `cause`.
pub const TERMS_ENDED_TOTAL: &str = "forge_leader_terms_ended_total";
/// Counter: transactions of duties that were refused because their term was over, by `leadership`.
pub const REFUSED_TOTAL: &str = "forge_leader_refused_total";
/// Counter: rounds of this node's elector that failed: it renewed no term, and none of its terms goes on.
pub const ROUNDS_FAILED_TOTAL: &str = "forge_leader_rounds_failed_total";

pub(super) fn round_failed() {
    metrics::counter!(ROUNDS_FAILED_TOTAL).increment(1);
}

pub(super) fn stands(leadership: Leadership) {
    metrics::gauge!(LEADING, "leadership" => leadership.name()).set(0.0);
}

pub(super) fn elected(leadership: Leadership) {
    metrics::gauge!(LEADING, "leadership" => leadership.name()).set(1.0);
    metrics::counter!(ELECTIONS_TOTAL, "leadership" => leadership.name()).increment(1);
}

pub(super) fn ended(leadership: Leadership, cause: TermEnd) {
    metrics::gauge!(LEADING, "leadership" => leadership.name()).set(0.0);
    metrics::counter!(TERMS_ENDED_TOTAL, "leadership" => leadership.name(), "cause" => cause.as_str())
        .increment(1);
}

pub(super) fn refused(leadership: Leadership) {
    metrics::counter!(REFUSED_TOTAL, "leadership" => leadership.name()).increment(1);
}
