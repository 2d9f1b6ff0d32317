//! State that the actors of the cluster subsystem share.

use std::collections::BTreeSet;
use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::watch;

use super::messages::DialerMessage;
use super::peer_link::PeerLink;
use super::remote_calls::RemoteCalls;
use super::signals::ClusterMetrics;
use crate::app::context::Invoke;
use crate::app::node::PeerInfo;
use crate::change::{Hint, HintHub};
use crate::kernel::envelope::{LinkKey, Topics};
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::node::{NodeInfo, NodeState};
use crate::kernel::time::Timestamp;
use crate::subsystem::HealthVerdict;
use crate::supervise::Address;

/// A registered peer without a link: since when, and why.
#[derive(Debug, Clone)]
struct Unlinked {
    since: Timestamp,
    reason: Option<Arc<str>>,
    /// The last reason that was logged.
    logged: Option<Arc<str>>,
}

impl Unlinked {
    fn now() -> Self {
        Self { since: chrono::Utc::now(), reason: None, logged: None }
    }
}

/// The state that the actors of the cluster subsystem share.
///
/// | field | owner and only writer | how readers are woken |
/// |---|---|---|
/// | `directory` | the registry | the dialer watches the channel |
/// | `clock` | the registry | the readiness of the node watches the channel |
/// | `node_state` | [`set_node_state`](super::Cluster::set_node_state) | the registry gets a `Beat` |
/// | `links` | the actor of each link adds and removes its own | not at all |
/// | `unlinked` | links, listener and dialer write; the registry removes unregistered nodes | not at all |
/// | `calls` | the caller adds, [`inbound`](super::inbound) completes | a channel of each call |
pub(super) struct ClusterShared {
    /// The id of this node.
    pub(super) node: NodeId,
    /// Hints about commits, in both directions.
    pub(super) hints: HintHub,
    /// Runs the handlers that peers ask for.
    pub(super) invoke: Arc<dyn Invoke>,
    /// The calls of this node to other nodes.
    pub(super) calls: Arc<RemoteCalls>,
    /// The rows of all nodes, as of the last heartbeat.
    pub(super) directory: watch::Sender<Arc<[NodeInfo]>>,
    /// Whether this node's clock lets it check tokens.
    pub(super) clock: watch::Sender<HealthVerdict>,
    /// The state of this node.
    pub(super) node_state: watch::Sender<NodeState>,
    /// The dialer. In a node without a mesh it never runs, and nobody sends to it.
    pub(super) dialer: Address<DialerMessage>,
    links: DashMap<LinkKey, Arc<PeerLink>>,
    unlinked: DashMap<NodeId, Unlinked>,
}

impl ClusterShared {
    pub(super) fn new(
        node: NodeId,
        hints: HintHub,
        invoke: Arc<dyn Invoke>,
        dialer: Address<DialerMessage>,
    ) -> Self {
        Self {
            node,
            hints,
            invoke,
            calls: RemoteCalls::new(),
            directory: watch::Sender::new(Arc::default()),
            clock: watch::Sender::new(HealthVerdict::Well),
            node_state: watch::Sender::new(NodeState::Joining),
            dialer,
            links: DashMap::new(),
            unlinked: DashMap::new(),
        }
    }

    pub(super) fn add_link(&self, link: Arc<PeerLink>) {
        self.links.insert(link.key, link);
    }

    /// Removes a link that has ended; its calls end with it.
    pub(super) fn remove_link(&self, link: &PeerLink) {
        self.links.remove(&link.key);
        self.calls.link_ended(link.key);
        self.unlinked.insert(link.node, Unlinked::now());
        ClusterMetrics::links(self.links_up());
    }

    /// Marks a link as usable.
    pub(super) fn link_up(&self, link: &PeerLink) {
        link.set_up();
        self.unlinked.remove(&link.node);
        ClusterMetrics::links(self.links_up());
    }

    pub(super) fn link(&self, key: LinkKey) -> Option<Arc<PeerLink>> {
        self.links.get(&key).map(|link| Arc::clone(&link))
    }

    /// The link to a node. While a new connection replaces an old one there are two; a link that is up wins.
    pub(super) fn link_to(&self, node: NodeId) -> Option<Arc<PeerLink>> {
        let links = self.links.iter().filter(|link| link.node == node).map(|link| Arc::clone(&link));
        links.max_by_key(|link| link.is_up())
    }

    fn links_up(&self) -> usize {
        self.links.iter().filter(|link| link.is_up()).count()
    }

    /// Records a failed handshake with a node, dialled by this node or accepted from a client that claims to
    /// be the node. A claim counts only for a registered node without a link.
    ///
    /// A `permanent` reason is logged once, until another reason follows or the nodes are linked. Nothing
    /// else would explain why two nodes of one database never link.
    pub(super) fn handshake_failed(&self, node: NodeId, reason: &str, permanent: bool) {
        let directory = self.directory.borrow();
        let Some(peer) = directory.iter().find(|known| known.id == node) else { return };
        if self.link_to(node).is_some() {
            return;
        }
        let mut unlinked = self.unlinked.entry(node).or_insert_with(Unlinked::now);
        unlinked.reason = Some(reason.into());
        if permanent && unlinked.logged.as_deref() != Some(reason) {
            unlinked.logged = Some(reason.into());
            tracing::warn!(
                peer = %peer.name,
                %node,
                reason,
                "mesh handshake rejected permanently: check cluster.secret, TLS names and versions"
            );
        }
    }

    /// Sends a hint about commits of this node to the interested peers.
    pub(super) fn send_hint(&self, hint: &Hint) {
        self.links.iter().for_each(|link| link.send_hint(hint));
    }

    /// Sends the topics that this node wants hints about to all peers.
    pub(super) fn send_interest(&self, interest: &Topics) {
        self.links.iter().for_each(|link| link.outbox.interest(interest.clone()));
    }

    /// Wakes everything that waits for a table or a queue on this node, because hints may have been lost.
    pub(super) fn resync(&self) {
        self.hints.wake_all_interested();
    }

    /// The links, and the registered peers that should have one, by node id.
    pub(super) fn peers(&self) -> Vec<PeerInfo> {
        let mut peers: Vec<_> = self.links.iter().map(|link| link.info()).collect();
        let linked: BTreeSet<_> = peers.iter().map(|peer| peer.node).collect();
        let directory = self.directory.borrow();
        let missing = directory
            .iter()
            .filter(|node| node.id != self.node && is_dialable(node) && !linked.contains(&node.id));
        peers.extend(missing.map(|node| self.unlinked_info(node)));
        peers.sort_by_key(|peer| peer.node);
        peers
    }

    fn unlinked_info(&self, node: &NodeInfo) -> PeerInfo {
        let unlinked = self.unlinked.get(&node.id);
        PeerInfo {
            node: node.id,
            name: node.name.clone(),
            address: node.mesh_address.clone().unwrap_or_default(),
            linked: false,
            since: unlinked.as_ref().map(|unlinked| unlinked.since),
            rtt_ms: None,
            queue: 0,
            dropped: Int53::default(),
            error: unlinked.as_ref().and_then(|unlinked| unlinked.reason.as_deref().map(str::to_owned)),
        }
    }

    /// Replaces the directory of nodes, and drops what is recorded about nodes that are no longer in it.
    pub(super) fn set_directory(&self, nodes: Vec<NodeInfo>) {
        self.unlinked.retain(|id, _| nodes.iter().any(|node| node.id == *id));
        self.directory.send_replace(nodes.into());
    }
}

/// True for a node that other nodes dial: one that is not dead and has a mesh.
pub(super) fn is_dialable(node: &NodeInfo) -> bool {
    node.mesh_address.is_some() && node.state != NodeState::Dead
}
