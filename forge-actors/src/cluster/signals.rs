//! Metrics of the cluster subsystem.

use std::time::Duration;

/// Gauge: links that are up.
pub const LINKS: &str = "forge_mesh_links";
/// Counter: links that ended, by `cause` (`closed`, `goodbye`, `malformed`, `never ready`, `silence`,
/// `stopped`).
pub const LINKS_ENDED_TOTAL: &str = "forge_mesh_links_ended_total";
/// Counter: handshakes that failed, by the `side` that this node was on (`dialer`, `listener`).
pub const HANDSHAKES_FAILED_TOTAL: &str = "forge_mesh_handshakes_failed_total";
/// Counter: unauthenticated connections that were dropped in favour of newer ones.
pub const UNAUTHENTICATED_DROPPED_TOTAL: &str = "forge_mesh_unauthenticated_dropped_total";
/// Counter: hints that named too many tables and queues, and were replaced by a resync.
pub const HINTS_DROPPED_TOTAL: &str = "forge_mesh_hints_dropped_total";
/// Counter: responses to other nodes that were dropped because the peer's outbox was full.
pub const RESPONSES_DROPPED_TOTAL: &str = "forge_mesh_responses_dropped_total";
/// Counter: frames that could not be decoded.
pub const MALFORMED_FRAMES_TOTAL: &str = "forge_mesh_malformed_frames_total";
/// Histogram, seconds: one heartbeat of this node in the database.
pub const HEARTBEAT_SECONDS: &str = "forge_cluster_heartbeat_duration_seconds";
/// Counter: nodes that this node declared dead.
pub const NODES_LOST_TOTAL: &str = "forge_cluster_nodes_lost_total";

/// Records the cluster's metrics. All of them are rare, so no metric handles are kept.
pub(super) struct ClusterMetrics;

impl ClusterMetrics {
    pub(super) fn links(connected: usize) {
        metrics::gauge!(LINKS).set(connected as f64);
    }

    pub(super) fn link_ended(cause: &'static str) {
        metrics::counter!(LINKS_ENDED_TOTAL, "cause" => cause).increment(1);
    }

    pub(super) fn handshake_failed(side: &'static str) {
        metrics::counter!(HANDSHAKES_FAILED_TOTAL, "side" => side).increment(1);
    }

    pub(super) fn unauthenticated_dropped() {
        metrics::counter!(UNAUTHENTICATED_DROPPED_TOTAL).increment(1);
    }

    pub(super) fn hint_dropped() {
        metrics::counter!(HINTS_DROPPED_TOTAL).increment(1);
    }

    pub(super) fn response_dropped() {
        metrics::counter!(RESPONSES_DROPPED_TOTAL).increment(1);
    }

    pub(super) fn malformed_frame() {
        metrics::counter!(MALFORMED_FRAMES_TOTAL).increment(1);
    }

    pub(super) fn heartbeat(took: Duration) {
        metrics::histogram!(HEARTBEAT_SECONDS).record(took.as_secs_f64());
    }

    pub(super) fn nodes_lost(count: usize) {
        metrics::counter!(NODES_LOST_TOTAL).increment(count as u64);
    }
}
