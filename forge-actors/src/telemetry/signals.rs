//! Metrics of the telemetry subsystem.

/// Counter: crashes that the journal dropped before they were written to the database.
pub const CRASHES_LOST_TOTAL: &str = "forge_crashes_lost_total";

pub(super) fn crashes_lost(count: u64) {
    metrics::counter!(CRASHES_LOST_TOTAL).increment(count);
}
