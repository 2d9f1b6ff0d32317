//! Decides which peers this node dials, and when. Pure: the caller passes the time and the random numbers.
//!
//! ```text
//!   waiting ──due──▶ dialling ──connected──▶ linked ──link ended──▶ waiting
//!      ▲                └──failed──▶ (backoff delay) ──┘
//! ```
//!
//! Of two nodes the younger one dials. Its first act is to read the rows of the nodes that started before it,
//! so a new node is connected within milliseconds, and no node polls for newer ones. Delays are drawn from
//! the whole range below their ceiling (full jitter), so that many nodes do not reconnect at the same moment
//! after a network partition.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::kernel::backoff::Backoff;
use crate::kernel::ids::NodeId;
use crate::kernel::time::{millis, secs};

/// Ceilings of the delays between two dials of one peer. The largest one bounds the time to reconnect after a
/// partition has healed.
const BACKOFF: Backoff = Backoff::exponential(millis(100), secs(2));
/// A link that was up for this long resets the backoff of its peer.
const STABLE_AFTER: Duration = secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DialPhase {
    Waiting { due: Instant },
    Dialling,
    Linked,
}

/// The peers that this node dials.
#[derive(Debug, Default)]
pub(super) struct DialPlan {
    peers: HashMap<NodeId, DialTarget>,
}

#[derive(Debug)]
struct DialTarget {
    phase: DialPhase,
    failures: u32,
}

impl DialPlan {
    /// Replaces the set of peers. A new peer is due at once unless it is linked already; a peer that is no
    /// longer in the set is dropped.
    pub(super) fn set_peers(&mut self, peers: &[NodeId], is_linked: impl Fn(NodeId) -> bool, now: Instant) {
        self.peers.retain(|id, _| peers.contains(id));
        for id in peers {
            let new = || DialTarget {
                phase: if is_linked(*id) { DialPhase::Linked } else { DialPhase::Waiting { due: now } },
                failures: 0,
            };
            self.peers.entry(*id).or_insert_with(new);
        }
    }

    /// Returns the peers to dial now, and marks them as being dialled.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<NodeId> {
        let due = self
            .peers
            .iter_mut()
            .filter(|(_, peer)| matches!(peer.phase, DialPhase::Waiting { due } if due <= now));
        let dialled = due.map(|(id, peer)| {
            peer.phase = DialPhase::Dialling;
            *id
        });
        dialled.collect()
    }

    /// When the next dial is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.peers.values().filter_map(|peer| match peer.phase {
            DialPhase::Waiting { due } => Some(due),
            DialPhase::Dialling | DialPhase::Linked => None,
        });
        waiting.min()
    }

    /// Records that the handshake with a peer succeeded.
    pub(super) fn connected(&mut self, id: NodeId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.phase = DialPhase::Linked;
        }
    }

    /// Records that a dial failed, and schedules the next one. `random` is uniform in `0.0..1.0`.
    pub(super) fn failed(&mut self, id: NodeId, now: Instant, random: f64) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let delay = BACKOFF.ceiling(peer.failures).mul_f64(random.clamp(0.0, 1.0));
            peer.failures = peer.failures.saturating_add(1);
            peer.phase = DialPhase::Waiting { due: now + delay };
        }
    }

    /// Records that the link to a peer ended, and schedules a dial. `was_up_for` is `None` when the link
    /// never came up. `random` is uniform in `0.0..1.0`.
    pub(super) fn link_ended(&mut self, id: NodeId, was_up_for: Option<Duration>, now: Instant, random: f64) {
        match self.peers.get_mut(&id) {
            // A dial that is under way decides about the peer; the end of an older link does not.
            Some(peer) if peer.phase != DialPhase::Dialling => {
                if was_up_for.is_some_and(|up_for| up_for >= STABLE_AFTER) {
                    peer.failures = 0;
                }
                self.failed(id, now, random);
            }
            _ => {}
        }
    }
}
