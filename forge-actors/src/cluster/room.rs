//! What the actors of the mesh share: the links, the directory of nodes, the calls. Whatever comes in over a
//! link is handled here.
//!
//! Nothing here waits: frames are handled in the order in which they come, one after the other, for all
//! links.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use tokio::sync::watch;

use super::calls::Calls;
use super::dialer::DialerMessage;
use super::link::LinkMessage;
use super::outbox::Outbox;
use super::signals::Signals;
use super::transport::{Receiver, Remote, Session};
use crate::app::context::Invoke;
use crate::app::node::PeerInfo;
use crate::change::{Hint, HintHub, TopicSet};
use crate::kernel::envelope::{self, Answer, EnvelopeError, LinkKey, Message, Part, Topics};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::node::{NodeInfo, NodeState};
use crate::kernel::time::{Timestamp, secs};
use crate::supervise::{Address, CastError};

/// One connection to one peer.
pub(super) struct Link {
    pub(super) key: LinkKey,
    pub(super) node: NodeId,
    pub(super) name: Arc<str>,
    pub(super) mesh_address: Arc<str>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) address: Address<LinkMessage>,
    /// When it became usable.
    pub(super) up_at: OnceLock<Timestamp>,
    pub(super) opened_at: Timestamp,
    clock: Instant,
    /// Microseconds of the link's clock when the last pong came.
    heard_us: AtomicU64,
    /// Microseconds of the last round trip; 0 before the first.
    rtt_us: AtomicU64,
    /// What the peer wants to hear of; before it has said so, everything.
    interest: ArcSwapOption<TopicSet>,
}

impl Link {
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
            heard_us: AtomicU64::new(0),
            rtt_us: AtomicU64::new(0),
            interest: ArcSwapOption::empty(),
        }
    }

    /// Microseconds since the link was opened.
    pub(super) fn clock_us(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// How long it has been open.
    pub(super) fn clock(&self) -> Duration {
        self.clock.elapsed()
    }

    /// How long no ping was answered.
    pub(super) fn silent_for(&self) -> Duration {
        Duration::from_micros(self.clock_us().saturating_sub(self.heard_us.load(Ordering::Relaxed)))
    }

    fn pong(&self, at: u64) {
        let now = self.clock_us();
        self.heard_us.store(now, Ordering::Relaxed);
        self.rtt_us.store(now.saturating_sub(at).max(1), Ordering::Relaxed);
    }

    /// Tells the peer of a commit, as far as it wants to hear of it.
    fn tell(&self, hint: &Hint) {
        let wanted = match self.interest.load().as_deref() {
            None => Topics::from(&hint.topics),
            Some(interest) => Topics::from(&hint.topics.intersection(interest)),
        };
        if wanted != Topics::default() && !self.outbox.hint(hint.xid, wanted) {
            Signals::hint_dropped();
        }
    }

    fn info(&self) -> PeerInfo {
        let rtt = self.rtt_us.load(Ordering::Relaxed);
        PeerInfo {
            node: self.node,
            name: self.name.to_string(),
            address: self.mesh_address.to_string(),
            linked: self.up_at.get().is_some(),
            since: self.up_at.get().copied().or(Some(self.opened_at)),
            rtt_ms: (rtt > 0).then_some(rtt as f64 / 1_000.0),
            queue: u32::try_from(self.outbox.waiting()).unwrap_or(u32::MAX),
            dropped: Int53::count(self.outbox.dropped()),
            error: None,
        }
    }
}

/// Why there is no link to a peer.
#[derive(Debug, Clone)]
pub(super) struct Absence {
    since: Timestamp,
    error: Option<Arc<str>>,
    /// The last reason that the log told of.
    told: Option<Arc<str>>,
}

impl Absence {
    fn begins() -> Self {
        Self { since: chrono::Utc::now(), error: None, told: None }
    }
}

/// The shared part of the room.
pub(super) struct Room {
    pub(super) node: NodeId,
    pub(super) hints: HintHub,
    pub(super) invoke: Arc<dyn Invoke>,
    pub(super) calls: Arc<Calls>,
    pub(super) directory: watch::Sender<Arc<[NodeInfo]>>,
    /// Where this node is in its life.
    pub(super) node_state: watch::Sender<NodeState>,
    pub(super) dialer: OnceLock<Address<DialerMessage>>,
    links: DashMap<LinkKey, Arc<Link>>,
    absences: DashMap<NodeId, Absence>,
}

impl Room {
    pub(super) fn new(node: NodeId, hints: HintHub, invoke: Arc<dyn Invoke>) -> Self {
        Self {
            node,
            hints,
            invoke,
            calls: Calls::new(),
            directory: watch::Sender::new(Arc::default()),
            node_state: watch::Sender::new(NodeState::Joining),
            dialer: OnceLock::new(),
            links: DashMap::new(),
            absences: DashMap::new(),
        }
    }

    pub(super) fn add(&self, link: Arc<Link>) {
        self.links.insert(link.key, link);
    }

    /// A link ended.
    pub(super) fn remove(&self, link: &Link) {
        self.links.remove(&link.key);
        self.calls.cut(link.key);
        self.absences.insert(link.node, Absence::begins());
        Signals::links(self.connected());
    }

    /// A link works.
    pub(super) fn up(&self, link: &Link) {
        // A link comes up once.
        let _again = link.up_at.set(chrono::Utc::now());
        self.absences.remove(&link.node);
        Signals::links(self.connected());
    }

    pub(super) fn link_to(&self, node: NodeId) -> Option<Arc<Link>> {
        let links = self.links.iter().filter(|link| link.node == node).map(|link| Arc::clone(&link));
        links.max_by_key(|link| link.up_at.get().is_some())
    }

    fn connected(&self) -> usize {
        self.links.iter().filter(|link| link.up_at.get().is_some()).count()
    }

    /// A greeting failed, made by this node or heard from one that claims to be `node`: whoever is not in the
    /// directory, or is linked, claims in vain. A `lasting` reason goes to the log, once until it is another
    /// one or the nodes were linked: nothing else would tell why two nodes that share a database work side by
    /// side and never hear of each other.
    pub(super) fn failed(&self, node: NodeId, reason: &str, lasting: bool) {
        let directory = self.directory.borrow();
        let Some(peer) = directory.iter().find(|known| known.id == node) else { return };
        if self.link_to(node).is_some() {
            return;
        }
        let mut absence = self.absences.entry(node).or_insert_with(Absence::begins);
        absence.error = Some(reason.into());
        if lasting && absence.told.as_deref() != Some(reason) {
            absence.told = Some(reason.into());
            tracing::warn!(peer = %peer.name, %node, reason, "another node of this database is not linked, and will not be before the configuration of one of them changes");
        }
    }

    /// What this node announced, to those who want to hear it.
    pub(super) fn tell(&self, hint: &Hint) {
        self.links.iter().for_each(|link| link.tell(hint));
    }

    /// What this node wants to hear, to all.
    pub(super) fn say_interest(&self, interest: &Topics) {
        self.links.iter().for_each(|link| link.outbox.interest(interest.clone()));
    }

    /// As if every table and queue that this node waits for had changed.
    pub(super) fn look_at_everything(&self) {
        self.hints.publish_lost_hints();
    }

    /// The links, and the peers that there should be links to.
    pub(super) fn peers(&self) -> Vec<PeerInfo> {
        let mut peers: Vec<_> = self.links.iter().map(|link| link.info()).collect();
        let linked: BTreeSet<_> = peers.iter().map(|peer| peer.node).collect();
        let directory = self.directory.borrow();
        let missing = directory
            .iter()
            .filter(|node| node.id != self.node && is_dialable(node) && !linked.contains(&node.id));
        peers.extend(missing.map(|node| self.missing(node)));
        peers.sort_by_key(|peer| peer.node);
        peers
    }

    fn missing(&self, node: &NodeInfo) -> PeerInfo {
        let absence = self.absences.get(&node.id);
        PeerInfo {
            node: node.id,
            name: node.name.clone(),
            address: node.mesh_address.clone().unwrap_or_default(),
            linked: false,
            since: absence.as_ref().map(|absence| absence.since),
            rtt_ms: None,
            queue: 0,
            dropped: Int53::default(),
            error: absence.as_ref().and_then(|absence| absence.error.as_deref().map(str::to_owned)),
        }
    }

    /// The registry looked again: what it does not know any more is forgotten.
    pub(super) fn learn(&self, nodes: Vec<NodeInfo>) {
        self.absences.retain(|id, _| nodes.iter().any(|node| node.id == *id));
        self.directory.send_replace(nodes.into());
    }

    fn received(&self, frame: &[u8]) -> Result<(), (Option<Arc<Link>>, EnvelopeError)> {
        let (head, parts) = envelope::open(frame).map_err(|error| (None, error))?;
        // A frame of a link that has ended meanwhile, or that never was.
        let Some(link) = self.links.get(&head.link).map(|link| Arc::clone(&link)) else { return Ok(()) };
        link.outbox.acknowledged(head.acknowledged);
        for part in parts {
            match part {
                Ok(Part::Message(message)) => self.handle(&link, message),
                Ok(Part::Unknown(kind)) => {
                    tracing::debug!(peer = %link.name, kind, "a message of a kind that this node does not know")
                }
                Err(error) => return Err((Some(link), error)),
            }
        }
        if head.sequence > 0 {
            link.outbox.handled(head.sequence);
        }
        Ok(())
    }

    fn handle(&self, link: &Arc<Link>, message: Message) {
        match message {
            Message::Hint { xid, topics } => {
                self.hints.publish_from_peer(Hint { xid, topics: TopicSet::from(topics) })
            }
            Message::Interest(topics) => link.interest.store(Some(Arc::new(TopicSet::from(topics)))),
            Message::Resync => self.look_at_everything(),
            Message::Invoke(invoke) => {
                let id = invoke.id;
                if let Err(error) = link.address.cast(LinkMessage::Invoke(invoke)) {
                    answer(&link.outbox, id, Err(overloaded(error)));
                }
            }
            Message::Answer(Answer { id, outcome }) => self.calls.answered(link.key, id, outcome),
            Message::Cancel { id } => tell_actor(link, LinkMessage::Cancel { id }),
            Message::Ping { at } => link.outbox.pong(at),
            Message::Pong { at } => link.pong(at),
            Message::Goodbye => tell_actor(link, LinkMessage::Goodbye),
        }
    }
}

impl Receiver for Room {
    fn frame(&self, frame: &[u8]) {
        let Err((link, error)) = self.received(frame) else { return };
        Signals::malformed();
        match link {
            Some(link) => {
                tracing::warn!(peer = %link.name, %error, "the peer sends what cannot be read; the link ends");
                tell_actor(&link, LinkMessage::Broken);
            }
            None => tracing::warn!(%error, "a frame that cannot be read"),
        }
    }

    fn opened(&self, key: LinkKey, session: Session) {
        match self.links.get(&key) {
            Some(link) => tell_actor(&link, LinkMessage::Opened(session)),
            None => session.end(),
        }
    }

    fn ready(&self, key: LinkKey, remote: Remote) {
        if let Some(link) = self.links.get(&key) {
            tell_actor(&link, LinkMessage::Ready(remote));
        }
    }

    fn closed(&self, key: LinkKey) {
        if let Some(link) = self.links.get(&key) {
            tell_actor(&link, LinkMessage::Closed);
        }
    }
}

/// Dead nodes and nodes without a mesh are not dialled.
pub(super) fn is_dialable(node: &NodeInfo) -> bool {
    node.mesh_address.is_some() && node.state != NodeState::Dead
}

/// Sends the end of a call back; an answer that finds no room, or is too large, becomes a fault that does.
pub(super) fn answer(outbox: &Outbox, id: u64, outcome: Result<bytes::Bytes, Fault>) {
    let part = envelope::encode(&Message::Answer(Answer { id, outcome })).or_else(|error| {
        let fault =
            Fault::new(Code::PayloadTooLarge, format!("the answer cannot be sent to another node: {error}"));
        envelope::encode(&Message::Answer(Answer { id, outcome: Err(fault) }))
    });
    let queued = part.map(|part| outbox.queue(part));
    if !matches!(queued, Ok(Ok(()))) {
        // The caller's own deadline ends its wait.
        Signals::answer_dropped();
    }
}

fn overloaded(error: CastError) -> Fault {
    Fault::new(Code::Overloaded, "the other node has too many calls of this one")
        .retry_after(secs(1))
        .because(error)
}

/// A link that ends takes no messages, and then none of these matters any more.
fn tell_actor(link: &Link, message: LinkMessage) {
    if let Err(error) = link.address.cast(message) {
        tracing::debug!(peer = %link.name, %error, "a link was not told");
    }
}
