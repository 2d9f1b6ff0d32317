//! How much of an unfinished frame a client has sent, and since when.
//!
//! A frame of the protocol is a WebSocket message, which a client may send in fragments, with pings and pongs
//! between them. tungstenite reports complete messages only, and limits the bytes of a message but not its
//! fragments: a client that sends empty fragments would be read for ever. So the bytes that were read from
//! the socket are counted here until they make a message.

use std::time::{Duration, Instant};

use super::limits::{CONTROL_HEAD_BYTES, FRAGMENT_HEADS_BYTES_MAX};

/// A limit that an unfinished frame has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrivalLimit {
    /// `sessions.frame_bytes_max`, with [`FRAGMENT_HEADS_BYTES_MAX`] for the heads of fragments.
    Bytes,
    /// `sessions.frame_timeout`.
    Time,
}

/// The frame that is arriving.
#[derive(Debug, Default)]
pub(super) struct FrameArrival {
    bytes: usize,
    since: Option<Instant>,
}

impl FrameArrival {
    /// Bytes were read from the socket.
    pub(super) fn read(&mut self, bytes: usize, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > 0 {
            self.since.get_or_insert(now);
        }
    }

    /// Some of the bytes were a ping or a pong with this payload.
    pub(super) fn control_frame(&mut self, payload_bytes: usize) {
        self.bytes = self.bytes.saturating_sub(CONTROL_HEAD_BYTES + payload_bytes);
        if self.bytes == 0 {
            self.since = None;
        }
    }

    /// The frame is complete. What was read of the next one counts when more of it arrives.
    pub(super) fn completed(&mut self) {
        *self = Self::default();
    }

    /// The limit that the frame has reached at `now`.
    pub(super) fn limit(&self, bytes_max: usize, timeout: Duration, now: Instant) -> Option<ArrivalLimit> {
        if self.bytes > bytes_max.saturating_add(FRAGMENT_HEADS_BYTES_MAX) {
            return Some(ArrivalLimit::Bytes);
        }
        let arriving = self.since.map(|since| now.saturating_duration_since(since));
        arriving.is_some_and(|time| time >= timeout).then_some(ArrivalLimit::Time)
    }
}
