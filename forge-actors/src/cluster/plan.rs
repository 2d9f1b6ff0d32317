//! Whom to dial and when; pure.
//!
//! ```text
//!   due ──dial──▶ dialling ──reached──▶ linked ──ended──▶ due (at once after a good life, else later)
//!    ▲               └──failed──▶ waiting ──delay──┘
//! ```
//!
//! Of two nodes the younger dials: it reads the rows of those who were there before it as its first act, so a
//! newcomer is connected within milliseconds and nobody has to watch for it. Delays are drawn from the whole
//! range below the ceiling (full jitter): after a healed cut, many nodes come back spread out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::kernel::backoff::Backoff;
use crate::kernel::ids::NodeId;
use crate::kernel::time::{millis, secs};

/// Ceilings of the delays between two dials of one peer. The last is what a healed cut costs at most.
const BACKOFF: Backoff = Backoff::exponential(millis(100), secs(2));
/// A link that lived for this long was a good one, and its successor is dialled at once.
const GOOD_LIFE: Duration = secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting { due: Instant },
    Dialling,
    Linked,
}

/// The peers that this node dials.
#[derive(Debug, Default)]
pub(super) struct Plan {
    peers: HashMap<NodeId, Peer>,
}

#[derive(Debug)]
struct Peer {
    phase: Phase,
    failures: u32,
}

impl Plan {
    /// These are the peers now: new ones are due at once unless they are linked already, those that left are
    /// forgotten.
    pub(super) fn keep(&mut self, peers: &[NodeId], is_linked: impl Fn(NodeId) -> bool, now: Instant) {
        self.peers.retain(|id, _| peers.contains(id));
        for id in peers {
            let new = || Peer {
                phase: if is_linked(*id) { Phase::Linked } else { Phase::Waiting { due: now } },
                failures: 0,
            };
            self.peers.entry(*id).or_insert_with(new);
        }
    }

    /// The peers to dial now; they count as being dialled.
    pub(super) fn due(&mut self, now: Instant) -> Vec<NodeId> {
        let due = self
            .peers
            .iter_mut()
            .filter(|(_, peer)| matches!(peer.phase, Phase::Waiting { due } if due <= now));
        let dialled = due.map(|(id, peer)| {
            peer.phase = Phase::Dialling;
            *id
        });
        dialled.collect()
    }

    /// When the next dial is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.peers.values().filter_map(|peer| match peer.phase {
            Phase::Waiting { due } => Some(due),
            Phase::Dialling | Phase::Linked => None,
        });
        waiting.min()
    }

    /// The greeting succeeded; the link tells when it ends.
    pub(super) fn reached(&mut self, id: NodeId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.phase = Phase::Linked;
        }
    }

    /// The greeting failed. `random` is uniform in `0.0..1.0`.
    pub(super) fn failed(&mut self, id: NodeId, now: Instant, random: f64) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let delay = BACKOFF.ceiling(peer.failures).mul_f64(random.clamp(0.0, 1.0));
            peer.failures = peer.failures.saturating_add(1);
            peer.phase = Phase::Waiting { due: now + delay };
        }
    }

    /// A link ended, after it was up for so long.
    pub(super) fn ended(&mut self, id: NodeId, was_up_for: Option<Duration>, now: Instant, random: f64) {
        match self.peers.get_mut(&id) {
            // The end of an old link while a new connection is on its way says nothing.
            Some(peer) if peer.phase != Phase::Dialling => {
                if was_up_for.is_some_and(|life| life >= GOOD_LIFE) {
                    peer.failures = 0;
                }
                self.failed(id, now, random);
            }
            _ => {}
        }
    }
}
