//! Metrics of the cluster room.

use std::time::Duration;

/// Links that work.
pub const LINKS: &str = "forge_mesh_links";
/// Links that ended, by what ended them.
pub const LINKS_ENDED_TOTAL: &str = "forge_mesh_links_ended_total";
/// Greetings that failed, by side (`dialer`, `listener`).
pub const GREETINGS_FAILED_TOTAL: &str = "forge_mesh_greetings_failed_total";
/// Unknown connections that were dropped because others came.
pub const UNKNOWN_DROPPED_TOTAL: &str = "forge_mesh_unknown_dropped_total";
/// Hints that named too much and became "look at everything".
pub const HINTS_DROPPED_TOTAL: &str = "forge_mesh_hints_dropped_total";
/// Answers to other nodes for which there was no room.
pub const ANSWERS_DROPPED_TOTAL: &str = "forge_mesh_answers_dropped_total";
/// Frames that could not be read.
pub const MALFORMED_TOTAL: &str = "forge_mesh_malformed_frames_total";
/// Seconds that a heartbeat takes in the database.
pub const HEARTBEAT_SECONDS: &str = "forge_cluster_heartbeat_duration_seconds";
/// Nodes that this node declared dead.
pub const NODES_LOST_TOTAL: &str = "forge_cluster_nodes_lost_total";

/// What is counted. All of it is rare, so no handle is kept.
pub(super) struct Signals;

impl Signals {
    pub(super) fn links(connected: usize) {
        metrics::gauge!(LINKS).set(connected as f64);
    }

    pub(super) fn link_ended(cause: &'static str) {
        metrics::counter!(LINKS_ENDED_TOTAL, "cause" => cause).increment(1);
    }

    pub(super) fn greeting_failed(side: &'static str) {
        metrics::counter!(GREETINGS_FAILED_TOTAL, "side" => side).increment(1);
    }

    pub(super) fn unknown_dropped() {
        metrics::counter!(UNKNOWN_DROPPED_TOTAL).increment(1);
    }

    pub(super) fn hint_dropped() {
        metrics::counter!(HINTS_DROPPED_TOTAL).increment(1);
    }

    pub(super) fn answer_dropped() {
        metrics::counter!(ANSWERS_DROPPED_TOTAL).increment(1);
    }

    pub(super) fn malformed() {
        metrics::counter!(MALFORMED_TOTAL).increment(1);
    }

    pub(super) fn heartbeat(took: Duration) {
        metrics::histogram!(HEARTBEAT_SECONDS).record(took.as_secs_f64());
    }

    pub(super) fn nodes_lost(count: usize) {
        metrics::counter!(NODES_LOST_TOTAL).increment(count as u64);
    }
}
