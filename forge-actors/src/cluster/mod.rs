//! The cluster subsystem: the registry of nodes in Postgres, and the mesh of connections between them.
//!
//! ```text
//!   cluster (one_for_one)
//!   ├ registry                  keeps this node's row in `forge_nodes`, reads the others
//!   ├ node_expiry               deletes rows of nodes that died long ago, on the leader of `maintenance`
//!   └ mesh (rest_for_one)
//!     ├ endpoint                owns ractor_cluster's node server; sends hints and interest
//!     ├ links (dynamic)         one actor per connected peer
//!     ├ listener                accepts connections and runs their handshakes
//!     └ dialer                  connects to older nodes
//! ```
//!
//! ```text
//!   registry ──directory──▶ dialer ───handshake──▶ endpoint ──▶ link ◀──▶ link of the peer
//!                           listener ─handshake──▶ ┘
//! ```
//!
//! Invariants
//! - The mesh only makes things faster. Hints may be lost, a call to another node may end without a response,
//!   and without any mesh every promise still holds.
//! - Before its handshake is complete, a connection is not trusted, costs at most a kilobyte of memory, and
//!   delays no other connection.
//! - Messages for a peer are bounded in number and bytes (`outbox`). Dropped hints are counted, and replaced
//!   by a resync.
//! - Of two nodes the younger one dials, so there is one link between them. A second connection replaces the
//!   first.
//! - A peer that is cut off or frozen is noticed within eight seconds, a peer whose process ended at once.
//!   After a partition has healed, the nodes are linked again within three seconds.
//! - Times in rows come from the database's clock, times of links from this process's clock. They are never
//!   compared with each other.
//!
//! Sources: the handshake lets the initiator prove itself first, as Noise patterns do. The bounded window of
//! acknowledged frames is TCP's flow control one layer higher, because ractor_cluster's own queues have
//! no bound.

mod clock;
mod cluster_key;
pub mod config;
mod connect;
mod dial_plan;
mod dialer;
mod endpoint;
mod handshake;
mod inbound;
mod link;
mod listener;
mod messages;
mod node_expiry;
mod outbox;
pub mod paths;
mod peer_link;
pub mod port;
mod pre_auth_limiter;
mod registry;
mod remote_calls;
mod shared;
pub mod signals;
pub mod store;
mod stream;
pub mod subsystem;
pub mod tls;
mod transport;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::timeout;

pub use self::cluster_key::ClusterKey;
use self::config::ClusterConfig;
use self::connect::Connector;
use self::dialer::Dialer;
use self::endpoint::Endpoint;
use self::listener::AcceptLoop;
use self::messages::{DialerMessage, RegistryMessage};
use self::node_expiry::DeadNodes;
use self::paths::{CLUSTER, DIALER, ENDPOINT, LINKS, MESH, MESH_LISTENER, NODE_EXPIRY, REGISTRY};
use self::port::MeshPort;
use self::registry::Registry;
use self::shared::ClusterShared;
pub use self::store::NodeIdentity;
use self::tls::Tls;
use crate::app::context::Invoke;
use crate::app::node::{PeerInfo, Peers};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::envelope::{InvokeRequest, MeshMessage, encode_part};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::NodeId;
use crate::kernel::invocation::Invocation;
use crate::kernel::node::{NodeInfo, NodeState, WorkerInfo};
use crate::kernel::time::{format_duration, secs};
use crate::leader::{Term, expiry};
use crate::subsystem::HealthVerdict;
use crate::supervise::{Address, ChildSpec, DynamicSpec, Mailbox, Strategy, SupervisorSpec};

/// Links of one node. The connection of one more peer is closed, and the peer dials again with backoff.
const LINKS_MAX: usize = 256;

/// The open port and the credentials of the mesh.
pub struct MeshOptions {
    /// The port of the mesh listener.
    pub port: MeshPort,
    /// Authenticates the nodes of the cluster to each other.
    pub key: ClusterKey,
    /// Certificates for mutual TLS; `None` means plain TCP.
    pub tls: Option<Tls>,
}

/// What the cluster subsystem needs from the node.
pub struct ClusterDeps {
    /// Section `[cluster]` of the configuration.
    pub config: ClusterConfig,
    /// What the node writes into its row. The mesh address is filled in from the port.
    pub identity: NodeIdentity,
    /// The database with the registry.
    pub database: Database,
    /// Hints about commits, to peers and from peers.
    pub hints: HintHub,
    /// Terms of [`MAINTENANCE`](crate::leader::MAINTENANCE): its leader deletes rows of dead nodes.
    pub terms: watch::Receiver<Option<Term>>,
    /// The difference between clocks with which tokens are accepted; `None` on a node that checks none.
    pub leeway: Option<Duration>,
    /// Runs the handlers that peers ask for.
    pub invoke: Arc<dyn Invoke>,
    /// The mesh; `None` runs the registry only.
    pub mesh: Option<MeshOptions>,
}

/// Handle of the cluster subsystem. Clones are cheap and refer to the same node.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<ClusterShared>,
    registry: Address<RegistryMessage>,
}

impl Cluster {
    /// Makes the handle, and the child that the node's supervisor runs.
    pub fn new(deps: ClusterDeps) -> (Self, ChildSpec) {
        let ClusterDeps { config, mut identity, database, hints, terms, leeway, invoke, mesh } = deps;
        let (dialer_mailbox, dialer) = Mailbox::of::<Dialer>();
        let (registry_mailbox, registry) = Mailbox::of::<Registry>();
        let shared = Arc::new(ClusterShared::new(identity.id, hints, invoke, dialer));
        identity.mesh_address = mesh.as_ref().map(|mesh| config.advertised(mesh.port.address()));
        let identity = Arc::new(identity);
        let mesh = mesh.map(|mesh| mesh_child(&shared, &identity, mesh, dialer_mailbox));
        let expiry = expiry(&NODE_EXPIRY, database.clone(), terms, DeadNodes);
        let registry_shared = Arc::clone(&shared);
        let registry_child = ChildSpec::with_mailbox(REGISTRY.id(), registry_mailbox, move || Registry {
            shared: Arc::clone(&registry_shared),
            database: database.clone(),
            config: config.clone(),
            identity: Arc::clone(&identity),
            leeway,
        });
        let children = [registry_child, expiry].into_iter().chain(mesh).collect();
        let cluster = ChildSpec::supervisor(CLUSTER.id(), SupervisorSpec::new(Strategy::OneForOne, children));
        (Self { shared, registry }, cluster)
    }

    /// Puts the node into `state`. The registry writes the new state at once.
    pub fn set_node_state(&self, state: NodeState) {
        self.shared.node_state.send_replace(state);
        // Every heartbeat writes the present state; the message only makes the next heartbeat come at once.
        self.registry.notify(RegistryMessage::Beat);
    }

    /// Whether this node's clock lets it check tokens, as of the last heartbeat.
    fn clock(&self) -> watch::Receiver<HealthVerdict> {
        self.shared.clock.subscribe()
    }

    /// The links of this node, and the registered peers without a link.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.shared.peers()
    }

    /// The registered nodes, as of the last heartbeat.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.shared.directory.borrow().to_vec()
    }

    /// Runs a handler on `node`, also an internal one. The caller has checked the access.
    ///
    /// # Errors
    /// The handler's own fault; `UNAVAILABLE` without a link to the node; `OVERLOADED` when too many calls
    /// are in flight; `TIMEOUT` after `deadline`, or after the invocation's own deadline when that is
    /// earlier; `OUTCOME_UNKNOWN` when the link ends before the response.
    pub async fn invoke(
        &self,
        node: NodeId,
        mut invocation: Invocation,
        deadline: Duration,
    ) -> Result<Bytes, Fault> {
        let own = invocation.deadline.map(|until| until.saturating_duration_since(Instant::now()));
        let deadline = own.map_or(deadline, |own| own.min(deadline));
        if node == self.shared.node {
            invocation.deadline = Some(Instant::now() + deadline);
            return self.shared.invoke.invoke(invocation, 0).await;
        }
        let link = self.shared.link_to(node).filter(|link| link.is_up()).ok_or_else(|| {
            Fault::new(Code::Unavailable, "there is no connection to that node").retry_after(secs(1))
        })?;
        let call = self.shared.calls.begin(link.key, &link.outbox)?;
        let request = InvokeRequest { id: call.id, remaining: deadline, invocation };
        let part = encode_part(&MeshMessage::InvokeRequest(Box::new(request)))
            .map_err(|error| Fault::new(Code::PayloadTooLarge, error.to_string()))?;
        link.outbox.queue(part).map_err(|_| {
            let message = "too many messages wait to be sent to that node";
            Fault::new(Code::Overloaded, message).retry_after(secs(1))
        })?;
        let timed_out = || {
            let message = format!("the other node did not answer within {}", format_duration(deadline));
            Fault::new(Code::Timeout, message)
        };
        timeout(deadline, call.response()).await.unwrap_or_else(|_| Err(timed_out()))
    }
}

impl Peers for Cluster {
    fn list(&self) -> Vec<PeerInfo> {
        self.peers()
    }

    fn registered<'a>(&self, db: &'a Db) -> BoxFuture<'a, sqlx::Result<Vec<NodeInfo>>> {
        Box::pin(store::list(db))
    }

    fn builds<'a>(&'a self, db: &'a Db, role: &'a str) -> BoxFuture<'a, sqlx::Result<Vec<Option<String>>>> {
        Box::pin(store::builds(db, role))
    }

    fn rescue_batches<'a>(&'a self, db: &'a Db, role: &'a str) -> BoxFuture<'a, sqlx::Result<bool>> {
        Box::pin(store::rescue_batches(db, role))
    }

    fn workers<'a>(&self, db: &'a Db, role: &'a str) -> BoxFuture<'a, sqlx::Result<Vec<WorkerInfo>>> {
        Box::pin(store::list_workers(db, role))
    }

    fn ended<'a>(&self, db: &'a Db) -> BoxFuture<'a, sqlx::Result<Vec<NodeInfo>>> {
        Box::pin(store::list_ended(db))
    }

    fn invoke(
        &self,
        node: NodeId,
        invocation: Invocation,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, Fault>> {
        let cluster = self.clone();
        Box::pin(async move { Self::invoke(&cluster, node, invocation, deadline).await })
    }
}

/// The supervisor of the mesh. Later children use earlier ones and restart with them.
fn mesh_child(
    shared: &Arc<ClusterShared>,
    identity: &NodeIdentity,
    mesh: MeshOptions,
    dialer_mailbox: Mailbox<DialerMessage>,
) -> ChildSpec {
    let MeshOptions { port, key, tls } = mesh;
    let connector = Connector {
        node: identity.id,
        name: identity.name.as_str().into(),
        address: identity.mesh_address.as_deref().unwrap_or_default().into(),
        key: key.clone(),
        tls,
    };
    let (links_child, links) = ChildSpec::dynamic(LINKS.id(), DynamicSpec::new(LINKS_MAX));
    let (endpoint_mailbox, endpoint) = Mailbox::of::<Endpoint>();
    let endpoint_shared = Arc::clone(shared);
    let endpoint_child = ChildSpec::with_mailbox(ENDPOINT.id(), endpoint_mailbox, move || Endpoint {
        shared: Arc::clone(&endpoint_shared),
        key: key.clone(),
        links: links.clone(),
    });
    let (listener_shared, listener_connector) = (Arc::clone(shared), connector.clone());
    let listener_endpoint = endpoint.clone();
    let listener_child = ChildSpec::task(MESH_LISTENER.id(), move || {
        let socket = port.accepting();
        let accept_loop = AcceptLoop::new(
            Arc::clone(&listener_shared),
            listener_connector.clone(),
            listener_endpoint.clone(),
        );
        async move { accept_loop.run(socket?).await }
    });
    let dialer_shared = Arc::clone(shared);
    let dialer_child = ChildSpec::with_mailbox(DIALER.id(), dialer_mailbox, move || Dialer {
        shared: Arc::clone(&dialer_shared),
        connector: connector.clone(),
        endpoint: endpoint.clone(),
    });
    let children = vec![endpoint_child, links_child, listener_child, dialer_child];
    ChildSpec::supervisor(MESH.id(), SupervisorSpec::new(Strategy::RestForOne, children))
}
