//! The messages of the cluster's actors.

use std::time::Duration;

use super::connect::PendingPeer;
use super::handshake::HandshakeError;
use super::transport::{RemoteEndpoint, TransportSession};
use crate::kernel::envelope::InvokeRequest;
use crate::kernel::ids::NodeId;

/// Messages of the registry.
#[derive(forge_app_macros::Message)]
pub(super) enum RegistryMessage {
    /// Write a heartbeat with the present state of the node, and read the rows of all nodes.
    Beat,
}

/// Messages of the endpoint.
#[derive(forge_app_macros::Message)]
pub(super) enum EndpointMessage {
    /// Make a link to a peer that has authenticated.
    Adopt(Box<PendingPeer>),
    /// The node server has ended by itself.
    NodeServerEnded,
}

/// Messages of the dialer.
#[derive(forge_app_macros::Message)]
pub(super) enum DialerMessage {
    /// The directory of nodes has changed, or a dial is due: dial the peers that are due.
    DialDue,
    /// A dial has ended.
    Dialled {
        /// The peer.
        node: NodeId,
        /// The connection, or why there is none.
        result: Result<Box<PendingPeer>, HandshakeError>,
    },
    /// A link has ended.
    LinkEnded {
        /// The peer.
        node: NodeId,
        /// How long the link was up; `None` when it never came up.
        was_up_for: Option<Duration>,
    },
}

/// Messages of a link.
#[derive(forge_app_macros::Message)]
pub(super) enum LinkMessage {
    /// The node server has opened a session on the connection.
    Opened(TransportSession),
    /// Both sides can send frames.
    Ready(RemoteEndpoint),
    /// Send a ping, and check that the peer answers.
    Tick,
    /// The peer asks for a handler to be run.
    Invoke(Box<InvokeRequest>),
    /// The peer no longer waits for a request.
    Cancel {
        /// The request's number.
        id: u64,
    },
    /// A request of the peer has finished.
    Finished {
        /// The request's number.
        id: u64,
    },
    /// The peer shuts down.
    Goodbye,
    /// The peer sent a frame that cannot be decoded.
    Malformed,
    /// The connection has ended.
    Closed,
}
