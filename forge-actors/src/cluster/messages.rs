//! The cluster room's public face.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::time::timeout;

use super::config::ClusterConfig;
use super::dialer::Dialer;
use super::endpoint::Endpoint;
use super::greeting::Greeter;
use super::handshake::Cookie;
use super::listener::Listener;
use super::port::MeshPort;
use super::registry::{Registry, RegistryMessage};
use super::room::Room;
use super::store;
pub use super::store::Identity;
use super::tls::Tls;
use crate::app::context::Invoke;
use crate::app::node::{PeerInfo, Peers};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::envelope::{self, Message};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::NodeId;
use crate::kernel::invocation::Invocation;
use crate::kernel::node::{NodeInfo, NodeState};
use crate::kernel::time::{format_duration, secs};
use crate::supervise::{Address, ChildSpec, DynamicSpec, Strategy, SupervisorSpec};

/// Links of one node at most; a peer over it is sent away and comes again.
const LINKS_MAX: usize = 256;

/// What the mesh of a node needs: an open port, and how nodes know each other.
pub struct MeshOptions {
    /// The port.
    pub port: MeshPort,
    /// Of the cluster's secret.
    pub cookie: Cookie,
    /// Mutual TLS; `None` is plain TCP.
    pub tls: Option<Tls>,
}

/// What the room needs of the node.
pub struct ClusterNeeds {
    /// Section `[cluster]`.
    pub config: ClusterConfig,
    /// What the node says of itself; its mesh address is filled in from the port.
    pub identity: Identity,
    /// Where the rows are.
    pub database: Database,
    /// What is committed here, and what is wanted here.
    pub hints: HintHub,
    /// Runs what peers ask for.
    pub invoke: Arc<dyn Invoke>,
    /// The mesh; `None` keeps the registry only.
    pub mesh: Option<MeshOptions>,
}

/// This node's part in the cluster. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Mesh {
    room: Arc<Room>,
    registry: Address<RegistryMessage>,
}

impl Mesh {
    /// The room and the child that the node's supervisor runs.
    pub fn new(needs: ClusterNeeds) -> (Self, ChildSpec) {
        let ClusterNeeds { config, mut identity, database, hints, invoke, mesh } = needs;
        let room = Arc::new(Room::new(identity.id, hints, invoke));
        identity.mesh_address = mesh.as_ref().map(|mesh| config.advertised(mesh.port.address()));
        let identity = Arc::new(identity);
        let below = mesh.map(|mesh| mesh_child(&room, &identity, mesh));
        let (registry_room, registry_identity) = (Arc::clone(&room), identity);
        let (registry_child, registry) = ChildSpec::actor("registry", move || Registry {
            room: Arc::clone(&registry_room),
            database: database.clone(),
            config: config.clone(),
            identity: Arc::clone(&registry_identity),
        });
        let children = std::iter::once(registry_child).chain(below).collect();
        let cluster = ChildSpec::supervisor("cluster", SupervisorSpec::new(Strategy::OneForOne, children));
        (Self { room, registry }, cluster)
    }

    /// The node is in `state` from now on, and says so at once.
    pub fn enter(&self, state: NodeState) {
        self.room.node_state.send_replace(state);
        // A registry that is not running reads the state when it starts.
        let _gone = self.registry.cast(RegistryMessage::Enter(state));
    }

    /// The connections of this node.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.room.peers()
    }

    /// The nodes that the registry knows, as of its last look.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.room.directory.borrow().to_vec()
    }

    /// Runs a handler on `node`, also one that is internal. The caller has judged the access.
    ///
    /// `UNAVAILABLE` when there is no connection, `TIMEOUT` after `deadline`, `OUTCOME_UNKNOWN` when the
    /// connection ends first.
    pub async fn invoke(
        &self,
        node: NodeId,
        mut invocation: Invocation,
        deadline: Duration,
    ) -> Result<Bytes, Fault> {
        let wanted = invocation.deadline.map(|until| until.saturating_duration_since(Instant::now()));
        let deadline = wanted.map_or(deadline, |wanted| wanted.min(deadline));
        if node == self.room.node {
            invocation.deadline = Some(Instant::now() + deadline);
            return self.room.invoke.invoke(invocation, 0).await;
        }
        let link = self.room.link_to(node).filter(|link| link.up_at.get().is_some());
        let link = link.ok_or_else(|| {
            Fault::new(Code::Unavailable, "there is no connection to that node").retry_after(secs(1))
        })?;
        let call = self.room.calls.enter(link.key, &link.outbox)?;
        let message =
            Message::Invoke(Box::new(envelope::Invoke { id: call.id, remaining: deadline, invocation }));
        let part = envelope::encode(&message)
            .map_err(|error| Fault::new(Code::PayloadTooLarge, error.to_string()))?;
        let queued = link.outbox.queue(part);
        queued.map_err(|_| {
            Fault::new(Code::Overloaded, "too much waits to be sent to that node").retry_after(secs(1))
        })?;
        let late = || {
            Fault::new(
                Code::Timeout,
                format!("the other node did not answer within {}", format_duration(deadline)),
            )
        };
        timeout(deadline, call.answer()).await.unwrap_or_else(|_| Err(late()))
    }
}

impl Peers for Mesh {
    fn list(&self) -> Vec<PeerInfo> {
        self.peers()
    }

    fn registered<'a>(&self, db: &'a Db) -> BoxFuture<'a, sqlx::Result<Vec<NodeInfo>>> {
        Box::pin(store::list(db))
    }

    fn invoke(
        &self,
        node: NodeId,
        invocation: Invocation,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, Fault>> {
        let mesh = self.clone();
        Box::pin(async move { Self::invoke(&mesh, node, invocation, deadline).await })
    }
}

/// The actors of the mesh. What comes later rests on what comes earlier, so it restarts with it.
fn mesh_child(room: &Arc<Room>, identity: &Identity, mesh: MeshOptions) -> ChildSpec {
    let MeshOptions { port, cookie, tls } = mesh;
    let address = identity.mesh_address.as_deref().unwrap_or_default().into();
    let greeter = Greeter {
        node: identity.id,
        name: identity.name.as_str().into(),
        address,
        cookie: cookie.clone(),
        tls,
    };
    let (links_child, links) = ChildSpec::dynamic("links", DynamicSpec::new(LINKS_MAX));
    let endpoint_room = Arc::clone(room);
    let (endpoint_child, endpoint) = ChildSpec::actor("endpoint", move || Endpoint {
        room: Arc::clone(&endpoint_room),
        cookie: cookie.clone(),
        links: links.clone(),
    });
    let (port, listener_greeter, listener_endpoint) = (Arc::new(port), greeter.clone(), endpoint.clone());
    let listener_room = Arc::clone(room);
    let (listener_child, _) = ChildSpec::actor("listener", move || Listener {
        room: Arc::clone(&listener_room),
        port: Arc::clone(&port),
        greeter: listener_greeter.clone(),
        endpoint: listener_endpoint.clone(),
    });
    let dialer_room = Arc::clone(room);
    let (dialer_child, dialer) = ChildSpec::actor("dialer", move || Dialer {
        room: Arc::clone(&dialer_room),
        greeter: greeter.clone(),
        endpoint: endpoint.clone(),
    });
    room.dialer.set(dialer).unwrap_or_else(|_| unreachable!("a new room has no dialer yet"));
    let children = vec![endpoint_child, links_child, listener_child, dialer_child];
    ChildSpec::supervisor("mesh", SupervisorSpec::new(Strategy::RestForOne, children))
}
