//! Handles the frames that arrive over links.
//!
//! ractor_cluster calls this code for one frame after the other, for all links together. Nothing in it waits:
//! what takes time is cast to the actor of the link.

use std::sync::Arc;

use super::messages::LinkMessage;
use super::peer_link::PeerLink;
use super::shared::ClusterShared;
use super::signals::ClusterMetrics;
use super::transport::{RemoteEndpoint, TransportEvents, TransportSession};
use crate::change::{Hint, TopicSet};
use crate::kernel::envelope::{
    EnvelopeError, FramePart, InvokeRequest, InvokeResponse, LinkKey, MeshMessage, decode_frame,
};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;

impl TransportEvents for ClusterShared {
    fn frame_received(&self, frame: &[u8]) {
        let Err((link, error)) = handle_frame(self, frame) else { return };
        ClusterMetrics::malformed_frame();
        match link {
            Some(link) => {
                tracing::warn!(peer = %link.name, %error, "a peer sent a malformed frame; its link ends");
                link.notify(LinkMessage::Malformed);
            }
            None => tracing::warn!(%error, "a malformed frame without a link was dropped"),
        }
    }

    fn session_opened(&self, key: LinkKey, session: TransportSession) {
        match self.link(key) {
            Some(link) => link.notify(LinkMessage::Opened(session)),
            None => session.close(),
        }
    }

    fn session_ready(&self, key: LinkKey, remote: RemoteEndpoint) {
        if let Some(link) = self.link(key) {
            link.notify(LinkMessage::Ready(remote));
        }
    }

    fn session_closed(&self, key: LinkKey) {
        if let Some(link) = self.link(key) {
            link.notify(LinkMessage::Closed);
        }
    }
}

/// Handles the messages of a frame in order. The error names the link of the frame, if there is one.
fn handle_frame(shared: &ClusterShared, frame: &[u8]) -> Result<(), (Option<Arc<PeerLink>>, EnvelopeError)> {
    let (header, parts) = decode_frame(frame).map_err(|error| (None, error))?;
    // A frame of a link that has ended is dropped.
    let Some(link) = shared.link(header.link) else { return Ok(()) };
    link.outbox.acknowledged(header.acknowledged);
    for part in parts {
        match part {
            Ok(FramePart::Message(message)) => handle_message(shared, &link, message),
            Ok(FramePart::Unknown(kind)) => {
                tracing::debug!(peer = %link.name, kind, "a message of an unknown kind was skipped");
            }
            Err(error) => return Err((Some(link), error)),
        }
    }
    if header.sequence > 0 {
        link.outbox.handled(header.sequence);
    }
    Ok(())
}

fn handle_message(shared: &ClusterShared, link: &PeerLink, message: MeshMessage) {
    match message {
        MeshMessage::Hint { xid, topics } => {
            shared.hints.publish_from_peer(Hint { xid, topics: TopicSet::from(topics) });
        }
        MeshMessage::Interest(topics) => link.set_interest(topics),
        MeshMessage::Resync => shared.resync(),
        MeshMessage::InvokeRequest(request) => start_invocation(link, request),
        MeshMessage::InvokeResponse(InvokeResponse { id, result }) => {
            shared.calls.complete(link.key, id, result);
        }
        MeshMessage::Cancel { id } => link.notify(LinkMessage::Cancel { id }),
        MeshMessage::Ping { at } => link.outbox.pong(at),
        MeshMessage::Pong { at } => link.pong(at),
        MeshMessage::Goodbye => link.notify(LinkMessage::Goodbye),
    }
}

/// Passes a request to the actor of the link. A full mailbox means that the peer has too many requests here.
fn start_invocation(link: &PeerLink, request: Box<InvokeRequest>) {
    let id = request.id;
    if let Err(error) = link.address.cast(LinkMessage::Invoke(request)) {
        link.outbox.respond(id, Err(too_many_calls().because(error)));
    }
}

/// The fault for a peer that exceeds its share of this node.
pub(super) fn too_many_calls() -> Fault {
    Fault::new(Code::Overloaded, "the other node is at its limit of calls from this node")
        .retry_after(secs(1))
}
