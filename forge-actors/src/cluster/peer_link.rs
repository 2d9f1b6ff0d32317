//! The state of one link: who is at its other end, what waits to be sent, and how the connection is doing.
//!
//! The link's actor ([`link`](super::link)) creates and removes the value. Everybody else in the cluster
//! subsystem reads it, and puts messages into its outbox, which wakes the link's pump.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::messages::LinkMessage;
use super::outbox::Outbox;
use super::signals::ClusterMetrics;
use crate::app::node::PeerInfo;
use crate::change::{Hint, TopicSet};
use crate::kernel::envelope::{LinkKey, Topics};
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::time::Timestamp;
use crate::supervise::Address;

/// One connection to one peer.
pub(super) struct PeerLink {
    pub(super) key: LinkKey,
    pub(super) node: NodeId,
    pub(super) name: Arc<str>,
    pub(super) mesh_address: Arc<str>,
    pub(super) outbox: Arc<Outbox>,
    /// The link's actor.
    pub(super) address: Address<LinkMessage>,
    /// When both sides were able to send frames.
    up_at: OnceLock<Timestamp>,
    opened_at: Timestamp,
    clock: Instant,
    /// When the last pong arrived, in microseconds of the link's clock.
    last_pong_us: AtomicU64,
    /// The last round trip in microseconds; 0 before the first.
    rtt_us: AtomicU64,
    /// The topics that the peer wants hints about; `None`, before the peer has sent them, means all.
    interest: ArcSwapOption<TopicSet>,
}

impl PeerLink {
    pub(super) fn new(
        key: LinkKey,
        node: NodeId,
        name: &str,
        mesh_address: &str,
        address: Address<LinkMessage>,
    ) -> Self {
        Self {
            key,
            node,
            name: name.into(),
            mesh_address: mesh_address.into(),
            outbox: Arc::new(Outbox::new(key)),
            address,
            up_at: OnceLock::new(),
            opened_at: chrono::Utc::now(),
            clock: Instant::now(),
            last_pong_us: AtomicU64::new(0),
            rtt_us: AtomicU64::new(0),
            interest: ArcSwapOption::empty(),
        }
    }

    /// Marks the link as usable. ractor_cluster reports this once per link.
    pub(super) fn set_up(&self) {
        let _again = self.up_at.set(chrono::Utc::now());
    }

    pub(super) fn is_up(&self) -> bool {
        self.up_at.get().is_some()
    }

    /// Time since the connection was opened.
    pub(super) fn age(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Microseconds since the connection was opened.
    pub(super) fn clock_us(&self) -> u64 {
        u64::try_from(self.age().as_micros()).unwrap_or(u64::MAX)
    }

    /// Time since the last pong, or since the connection was opened.
    pub(super) fn silent_for(&self) -> Duration {
        Duration::from_micros(self.clock_us().saturating_sub(self.last_pong_us.load(Ordering::Relaxed)))
    }

    /// Records the pong that answers the ping sent at `at`, in microseconds of the link's clock.
    pub(super) fn pong(&self, at: u64) {
        let now = self.clock_us();
        self.last_pong_us.store(now, Ordering::Relaxed);
        self.rtt_us.store(now.saturating_sub(at).max(1), Ordering::Relaxed);
    }

    pub(super) fn set_interest(&self, topics: Topics) {
        self.interest.store(Some(Arc::new(TopicSet::from(topics))));
    }

    /// Puts the part of a hint that the peer is interested in into the outbox.
    pub(super) fn send_hint(&self, hint: &Hint) {
        let wanted = match self.interest.load().as_deref() {
            None => Topics::from(&hint.topics),
            Some(interest) => Topics::from(&hint.topics.intersection(interest)),
        };
        if wanted != Topics::default() && !self.outbox.hint(hint.xid, wanted) {
            ClusterMetrics::hint_dropped();
        }
    }

    /// Casts to the link's actor. A link that has ended takes no message, and needs none.
    pub(super) fn notify(&self, message: LinkMessage) {
        if let Err(error) = self.address.cast(message) {
            tracing::debug!(peer = %self.name, %error, "a message to a mesh link was dropped");
        }
    }

    /// The link as the dashboard shows it.
    pub(super) fn info(&self) -> PeerInfo {
        let rtt = self.rtt_us.load(Ordering::Relaxed);
        PeerInfo {
            node: self.node,
            name: self.name.to_string(),
            address: self.mesh_address.to_string(),
            linked: self.is_up(),
            since: self.up_at.get().copied().or(Some(self.opened_at)),
            rtt_ms: (rtt > 0).then_some(rtt as f64 / 1_000.0),
            queue: u32::try_from(self.outbox.waiting()).unwrap_or(u32::MAX),
            dropped: Int53::count(self.outbox.dropped()),
            error: None,
        }
    }
}
