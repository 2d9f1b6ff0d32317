//! Metrics of sessions. Label values come from closed sets, so that no client can create a time series.

use metrics::{Counter, Gauge};

use super::wire::CloseCode;

/// Gauge: open sessions.
pub const SESSIONS: &str = "forge_sessions";
/// Counter: sessions that were opened.
pub const SESSIONS_OPENED_TOTAL: &str = "forge_sessions_opened_total";
/// Counter: connections that the server closed, by close `code`.
pub const SESSIONS_CLOSED_TOTAL: &str = "forge_sessions_closed_total";
/// Counter: upgrades that were refused because a limit of connections was reached.
pub const SESSIONS_REFUSED_TOTAL: &str = "forge_sessions_refused_total";
/// Counter: frames from clients.
pub const SESSION_FRAMES_TOTAL: &str = "forge_session_frames_total";
/// Counter: transitions that were written to clients.
pub const SESSION_TRANSITIONS_TOTAL: &str = "forge_session_transitions_total";
/// Counter: results that a newer one replaced before the client could take them.
pub const SESSION_COALESCED_TOTAL: &str = "forge_session_coalesced_total";

/// The metric handles of all sessions of a node.
pub(super) struct SessionSignals {
    pub(super) open: Gauge,
    pub(super) opened: Counter,
    pub(super) refused: Counter,
    pub(super) frames: Counter,
    pub(super) transitions: Counter,
    coalesced: Counter,
    closed: [Counter; CloseCode::ALL.len()],
}

impl SessionSignals {
    pub(super) fn new() -> Self {
        Self {
            open: metrics::gauge!(SESSIONS),
            opened: metrics::counter!(SESSIONS_OPENED_TOTAL),
            refused: metrics::counter!(SESSIONS_REFUSED_TOTAL),
            frames: metrics::counter!(SESSION_FRAMES_TOTAL),
            transitions: metrics::counter!(SESSION_TRANSITIONS_TOTAL),
            coalesced: metrics::counter!(SESSION_COALESCED_TOTAL),
            closed: CloseCode::ALL
                .map(|code| metrics::counter!(SESSIONS_CLOSED_TOTAL, "code" => code.number().to_string())),
        }
    }

    pub(super) fn coalesced(&self, results: usize) {
        if results > 0 {
            self.coalesced.increment(results as u64);
        }
    }

    pub(super) fn closed(&self, code: CloseCode) {
        if let Some(at) = CloseCode::ALL.iter().position(|known| *known == code) {
            self.closed[at].increment(1);
        }
    }
}
