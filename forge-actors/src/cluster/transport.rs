//! Carries frames over authenticated connections. The only file that calls `ractor_cluster`.
//!
//! That crate receives authenticated streams and carries frames between exactly one remotable actor per node.
//! The cluster subsystem adds the rest (limits, liveness checks, reconnection, discovery), so the crate can
//! be replaced behind [`Transport`] and [`TransportEvents`].
//!
//! ```text
//!   carry(stream) ──▶ session_opened ──▶ session_ready ──▶ session_closed       each once per link key
//! ```
//!
//! Facts about version 0.16.5 that shape this file: the crate has a listener of its own that cannot be
//! switched off, so this file gives it a loopback port and a TLS side without a certificate, which rejects
//! every client; the crate announces every remotable actor to every peer, so there is only one; the crate's
//! mailboxes have no bound, so the sender has to bound what it sends (see [`outbox`](super::outbox)).

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

use super::cluster_key::ClusterKey;
use super::handshake::Side;
use super::stream::{MeshStream, key_of};
use crate::kernel::envelope::{FRAME_BYTES_MAX, LinkKey};
use crate::kernel::ids::NodeId;
use crate::kernel::time::secs;

/// The process group through which the frame receivers of all nodes find each other.
const GROUP: &str = "forge mesh";
/// Bytes that ractor_cluster adds around a frame.
const FRAME_OVERHEAD_BYTES_MAX: usize = 4 * 1024;
/// Time for a session to stop; then it is killed.
const STOP_DEADLINE: Duration = secs(1);

/// The message between node servers. Its content has a codec of its own (see
/// [`kernel::envelope`](crate::kernel::envelope)). The name of the variant is sent to the peer and must not
/// change.
#[derive(RactorClusterMessage)]
enum FrameMessage {
    Frame(Vec<u8>),
}

/// Receives frames and the events of links. The methods run inside ractor_cluster and must not wait.
pub(super) trait TransportEvents: Send + Sync + 'static {
    fn frame_received(&self, frame: &[u8]);
    fn session_opened(&self, link: LinkKey, session: TransportSession);
    fn session_ready(&self, link: LinkKey, remote: RemoteEndpoint);
    fn session_closed(&self, link: LinkKey);
}

/// ractor_cluster's session of one link. Dropping it closes the connection.
pub(super) struct TransportSession(ActorRef<NodeSessionMessage>);

impl TransportSession {
    /// Closes the connection without waiting.
    pub(super) fn close(self) {}

    /// Closes the connection and waits until the node server has removed it, so that a new session of the
    /// same peer does not compete with it.
    pub(super) async fn close_and_wait(self) {
        self.0.stop(None);
        if self.0.wait(Some(STOP_DEADLINE)).await.is_err() {
            self.0.kill();
            // A session that survives the kill is blocked inside ractor_cluster, and waiting longer would not
            // help.
            let _blocked = self.0.wait(Some(STOP_DEADLINE)).await;
        }
    }
}

impl Drop for TransportSession {
    fn drop(&mut self) {
        self.0.stop(None);
    }
}

/// The frame receiver of a peer.
pub(super) struct RemoteEndpoint(ActorRef<FrameMessage>);

impl RemoteEndpoint {
    /// Sends a frame; false when the link has ended.
    pub(super) fn send(&self, frame: Vec<u8>) -> bool {
        self.0.send_message(FrameMessage::Frame(frame)).is_ok()
    }
}

/// The running node server of this node. Dropping it stops the server.
pub(super) struct Transport {
    server: ActorRef<NodeServerMessage>,
    receiver: ActorRef<FrameMessage>,
}

/// Resolves when the node server or the frame receiver has ended.
pub(super) type TransportEnded = futures::future::Select<JoinHandle<()>, JoinHandle<()>>;

impl Transport {
    /// Starts the node server.
    ///
    /// # Errors
    /// When one of its actors does not start.
    pub(super) async fn start(
        node: NodeId,
        key: &ClusterKey,
        events: Arc<dyn TransportEvents>,
    ) -> Result<(Self, TransportEnded), SpawnErr> {
        let (receiver, receiver_task) = Actor::spawn(None, FrameReceiver(Arc::clone(&events)), ()).await?;
        // ractor_cluster takes a peer with its own host and port for itself; with its id as the host every
        // node is a different one.
        let server = NodeServer::new(
            0,
            key.node_server().to_owned(),
            node.to_string(),
            format!("{node}.mesh"),
            Some(reject_all_clients()),
            Some(NodeConnectionMode::Isolated),
        )
        .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .with_max_inbound_frame_size((FRAME_BYTES_MAX + FRAME_OVERHEAD_BYTES_MAX) as u64);
        let started = Actor::spawn(None, server, ()).await;
        let (server, server_task) = started.inspect_err(|_| receiver.stop(None))?;
        let transport = Self { server, receiver };
        let subscription = Box::new(SessionEvents(events));
        transport
            .server
            .send_message(NodeServerMessage::SubscribeToEvents { id: GROUP.to_owned(), subscription })
            .map_err(|error| SpawnErr::StartupFailed(error.to_string().into()))?;
        Ok((transport, futures::future::select(receiver_task, server_task)))
    }

    /// Starts to carry a link over `stream`. False when the node server has ended.
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
        self.receiver.stop(None);
    }
}

/// The one remotable actor of a node: peers send their frames to it.
struct FrameReceiver(Arc<dyn TransportEvents>);

impl Actor for FrameReceiver {
    type Msg = FrameMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<FrameMessage>, (): ()) -> Result<(), ActorProcessingErr> {
        pg::join(GROUP.to_owned(), vec![myself.get_cell()]);
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<FrameMessage>,
        FrameMessage::Frame(frame): FrameMessage,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.0.frame_received(&frame);
        Ok(())
    }
}

/// Forwards ractor_cluster's events under the link's key.
struct SessionEvents(Arc<dyn TransportEvents>);

impl NodeEventSubscription for SessionEvents {
    fn node_session_opened(&self, session: NodeServerSessionInformation) {
        if let Some(key) = key_of(&session.peer_addr) {
            self.0.session_opened(key, TransportSession(session.actor));
        }
    }

    fn node_session_disconnected(&self, session: NodeServerSessionInformation) {
        if let Some(key) = key_of(&session.peer_addr) {
            self.0.session_closed(key);
        }
    }

    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {}

    fn node_session_ready(&self, session: NodeServerSessionInformation) {
        // The peer joins its frame receiver to the group before it reports that it is ready.
        let members = pg::get_members(&GROUP.to_owned());
        let receiver = members.into_iter().find(|member| match member.get_id() {
            ractor::ActorId::Remote { node_id, .. } => node_id == session.node_id,
            ractor::ActorId::Local(_) => false,
        });
        if let (Some(key), Some(receiver)) = (key_of(&session.peer_addr), receiver) {
            self.0.session_ready(key, RemoteEndpoint(receiver.into()));
        }
    }
}

/// A TLS side without a certificate, for ractor_cluster's own listener: every client fails its TLS handshake.
fn reject_all_clients() -> IncomingEncryptionMode {
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
