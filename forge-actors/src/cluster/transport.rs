//! The links' carrier: the only file that names `ractor_cluster`.
//!
//! That crate is given authenticated streams and carries frames between exactly one remotable actor per node.
//! What it lacks (limits, liveness, reconnecting, discovery) the room brings itself, so the carrier can be
//! replaced behind [`Transport`] and [`Receiver`].
//!
//! ```text
//!   carry(stream) ──▶ opened(session) ──▶ ready(remote) ──▶ closed        each told once, by the key of the link
//! ```
//!
//! Facts of version 0.16.5 that shape this file: it has a listener of its own that cannot be switched off, so
//! it gets a loopback port and a TLS side without a certificate, where nobody gets in; every remotable actor
//! is announced to every peer, so there is one; its mailboxes have no bound, so whoever sends must (see
//! [`outbox`](super::outbox)).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, pg};
use ractor_cluster::node::{NodeConnectionMode, NodeServerSessionInformation};
use ractor_cluster::{
    IncomingEncryptionMode, NodeEventSubscription, NodeServer, NodeServerMessage, NodeSessionMessage,
    RactorClusterMessage,
};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::task::JoinHandle;

use super::handshake::{Cookie, Side};
use super::stream::{MeshStream, key_of};
use crate::kernel::envelope::{FRAME_BYTES_MAX, LinkKey};
use crate::kernel::ids::NodeId;
use crate::kernel::time::secs;

/// Where the endpoints of all nodes meet.
const GROUP: &str = "forge mesh";
/// What the carrier puts around a frame.
const CARRIER_BYTES_MAX: usize = 4 * 1024;
/// Time for a session to end when it is asked to; then it is killed.
const END_DEADLINE: Duration = secs(1);

/// What crosses nodes: one variant, whose content has its own codec.
#[derive(RactorClusterMessage)]
enum Wire {
    Frame(Vec<u8>),
}

/// Who hears of links and frames. None of the methods may wait.
pub(super) trait Receiver: Send + Sync + 'static {
    fn frame(&self, frame: &[u8]);
    fn opened(&self, link: LinkKey, session: Session);
    fn ready(&self, link: LinkKey, remote: Remote);
    fn closed(&self, link: LinkKey);
}

/// The connection below one link. Ends with its value.
pub(super) struct Session(ActorRef<NodeSessionMessage>);

impl Session {
    /// Ends it, without waiting.
    pub(super) fn end(self) {}

    /// Ends it and waits, so that a successor finds no trace of it.
    pub(super) async fn ended(self) {
        self.0.stop(None);
        if self.0.wait(Some(END_DEADLINE)).await.is_err() {
            self.0.kill();
            // What a kill cannot end in time is blocked, and not by us.
            let _blocked = self.0.wait(Some(END_DEADLINE)).await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.stop(None);
    }
}

/// The endpoint of the node at the other end.
pub(super) struct Remote(ActorRef<Wire>);

impl Remote {
    /// Sends a frame; false when the link has ended.
    pub(super) fn send(&self, frame: Vec<u8>) -> bool {
        self.0.send_message(Wire::Frame(frame)).is_ok()
    }
}

/// The running carrier of one node. Ends with its value.
pub(super) struct Transport {
    server: ActorRef<NodeServerMessage>,
    endpoint: ActorRef<Wire>,
}

/// Resolves when a part of the carrier has ended.
pub(super) type Ended = futures::future::Select<JoinHandle<()>, JoinHandle<()>>;

impl Transport {
    /// Starts it.
    pub(super) async fn start(
        node: NodeId,
        cookie: &Cookie,
        receiver: Arc<dyn Receiver>,
    ) -> Result<(Self, Ended), SpawnErr> {
        let (endpoint, endpoint_task) = Actor::spawn(None, Endpoint(Arc::clone(&receiver)), ()).await?;
        // Equal host and port would count as the node itself, so the host is the node.
        let server = NodeServer::new(
            0,
            cookie.inner.clone(),
            node.to_string(),
            format!("{node}.mesh"),
            Some(closed_door()),
            Some(NodeConnectionMode::Isolated),
        )
        .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .with_max_inbound_frame_size((FRAME_BYTES_MAX + CARRIER_BYTES_MAX) as u64);
        let started = Actor::spawn(None, server, ()).await;
        let (server, server_task) = started.inspect_err(|_| endpoint.stop(None))?;
        let transport = Self { server, endpoint };
        let subscription = Box::new(Events(receiver));
        transport
            .server
            .send_message(NodeServerMessage::SubscribeToEvents { id: GROUP.to_owned(), subscription })
            .map_err(|error| SpawnErr::StartupFailed(error.to_string().into()))?;
        Ok((transport, futures::future::select(endpoint_task, server_task)))
    }

    /// Carries a link over `stream`. False when the carrier has ended.
    pub(super) fn carry(&self, stream: MeshStream, side: Side) -> bool {
        let message = NodeServerMessage::ConnectionOpenedExternal {
            stream: Box::new(stream),
            is_server: side == Side::Listener,
        };
        self.server.send_message(message).is_ok()
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.server.stop(None);
        self.endpoint.stop(None);
    }
}

/// The one remotable actor of a node.
struct Endpoint(Arc<dyn Receiver>);

impl Actor for Endpoint {
    type Msg = Wire;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Wire>, (): ()) -> Result<(), ActorProcessingErr> {
        pg::join(GROUP.to_owned(), vec![myself.get_cell()]);
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Wire>,
        Wire::Frame(frame): Wire,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.0.frame(&frame);
        Ok(())
    }
}

/// Hears the carrier's events and passes them on by the key of the link.
struct Events(Arc<dyn Receiver>);

impl NodeEventSubscription for Events {
    fn node_session_opened(&self, session: NodeServerSessionInformation) {
        if let Some(key) = key_of(&session.peer_addr) {
            self.0.opened(key, Session(session.actor));
        }
    }

    fn node_session_disconnected(&self, session: NodeServerSessionInformation) {
        if let Some(key) = key_of(&session.peer_addr) {
            self.0.closed(key);
        }
    }

    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {}

    fn node_session_ready(&self, session: NodeServerSessionInformation) {
        // The peer announced its endpoint before it said that it is ready.
        let members = pg::get_members(&GROUP.to_owned());
        let endpoint = members.into_iter().find(|member| match member.get_id() {
            ractor::ActorId::Remote { node_id, .. } => node_id == session.node_id,
            ractor::ActorId::Local(_) => false,
        });
        if let (Some(key), Some(endpoint)) = (key_of(&session.peer_addr), endpoint) {
            self.0.ready(key, Remote(endpoint.into()));
        }
    }
}

/// A door without a lock, a handle or a hinge: for the listener that cannot be switched off.
fn closed_door() -> IncomingEncryptionMode {
    #[derive(Debug)]
    struct NoCertificate;
    impl ResolvesServerCert for NoCertificate {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            None
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoCertificate));
    IncomingEncryptionMode::Tls(Arc::new(config).into())
}
