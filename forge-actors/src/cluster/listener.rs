//! The task that accepts mesh connections. Each connection runs its handshake in a task of its own, so that
//! no connection waits for another.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::connect::{Connector, PendingPeer, Rejected};
use super::messages::EndpointMessage;
use super::pre_auth_limiter::{PreAuthId, PreAuthLimiter};
use super::shared::ClusterShared;
use super::signals::ClusterMetrics;
use crate::kernel::time::millis;
use crate::supervise::{ActorError, Address};

/// Pause after a failed accept, for example when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = millis(100);

type HandshakeEnd = (PreAuthId, SocketAddr, Result<PendingPeer, Rejected>);

/// Accepts connections, runs their handshakes, and hands authenticated peers to the endpoint. The handshakes
/// end with the loop.
pub(super) struct AcceptLoop {
    shared: Arc<ClusterShared>,
    connector: Connector,
    endpoint: Address<EndpointMessage>,
    limiter: PreAuthLimiter,
    handshakes: JoinSet<HandshakeEnd>,
    running: HashMap<PreAuthId, AbortHandle>,
}

impl AcceptLoop {
    pub(super) fn new(
        shared: Arc<ClusterShared>,
        connector: Connector,
        endpoint: Address<EndpointMessage>,
    ) -> Self {
        Self {
            shared,
            connector,
            endpoint,
            limiter: PreAuthLimiter::default(),
            handshakes: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    /// Runs until its task is stopped.
    pub(super) async fn run(mut self, socket: TcpListener) -> Result<(), ActorError> {
        loop {
            tokio::select! {
                Some(ended) = self.handshakes.join_next() => self.handshake_ended(ended),
                accepted = socket.accept() => match accepted {
                    Ok((connection, from)) => self.start_handshake(connection, from),
                    Err(error) => {
                        tracing::warn!(%error, "the mesh listener cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn start_handshake(&mut self, connection: TcpStream, from: SocketAddr) {
        let (id, dropped) = self.limiter.admit(from.ip());
        if let Some(oldest) = dropped.and_then(|dropped| self.running.remove(&dropped)) {
            oldest.abort();
            ClusterMetrics::unauthenticated_dropped();
        }
        let connector = self.connector.clone();
        let task = self.handshakes.spawn(async move { (id, from, connector.accept(connection).await) });
        self.running.insert(id, task);
    }

    fn handshake_ended(&mut self, ended: Result<HandshakeEnd, JoinError>) {
        // The limiter has removed a handshake that was aborted.
        let Ok((id, from, result)) = ended else { return };
        self.limiter.remove(id);
        self.running.remove(&id);
        match result {
            Ok(peer) => {
                if let Err(error) = self.endpoint.cast(EndpointMessage::Adopt(Box::new(peer))) {
                    tracing::warn!(%from, %error, "the connection of a peer was dropped");
                }
            }
            Err(Rejected { claimed, error }) => {
                ClusterMetrics::handshake_failed("listener");
                tracing::debug!(%from, %error, "a mesh connection was rejected");
                // Temporary errors are not recorded: an unauthenticated client may claim the id of any node.
                if let Some(node) = claimed.filter(|_| error.is_permanent()) {
                    self.shared.handshake_failed(node, &error.to_string(), true);
                }
            }
        }
    }
}
