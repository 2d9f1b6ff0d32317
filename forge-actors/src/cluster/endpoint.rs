//! The `endpoint` actor: owns ractor_cluster's node server, turns authenticated connections into links, and
//! sends the hints and the interest of this node to the peers.
//!
//! When a connection of a peer arrives that has a link already, the new connection replaces the link, because
//! the peer only connects again when it has lost the old connection. The old link ends first:
//! ractor_cluster resolves two connections of one pair by an election that the old one may win.

use std::sync::Arc;
use std::time::Duration;

use super::cluster_key::ClusterKey;
use super::connect::PendingPeer;
use super::link::{LinkActor, child_id};
use super::messages::{DialerMessage, EndpointMessage};
use super::shared::ClusterShared;
use super::transport::{Transport, TransportEvents};
use crate::kernel::envelope::Topics;
use crate::kernel::error_chain::error_chain;
use crate::kernel::node::NodeState;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildError, Children, Context};

/// Time for an old link to end, and for a new one to start.
const REPLACE_DEADLINE: Duration = secs(4);

/// Owns the node server and starts links.
pub(super) struct Endpoint {
    pub(super) shared: Arc<ClusterShared>,
    pub(super) key: ClusterKey,
    pub(super) links: Children,
}

impl Endpoint {
    async fn adopt(&self, transport: &Arc<Transport>, peer: PendingPeer) {
        let (node, name) = (peer.hello.node, peer.hello.name.clone());
        match self.links.stop_child(&child_id(node, &name), REPLACE_DEADLINE).await {
            Ok(()) => tracing::debug!(peer = %name, "a new connection replaces the old link"),
            Err(ChildError::Unknown { .. }) => {}
            Err(error) => tracing::warn!(peer = %name, %error, "the old link of a peer did not end in time"),
        }
        let link = LinkActor::spec(&self.shared, transport, peer);
        if let Err(error) = self.links.start_child(link, REPLACE_DEADLINE).await {
            // Peers dial a node that drains until they have read that it does.
            let draining = *self.shared.node_state.borrow() == NodeState::Draining;
            let error = error_chain(&error);
            if draining {
                tracing::debug!(peer = %name, error, "no link to a peer starts on a draining node");
            } else {
                tracing::warn!(peer = %name, error, "the link to a peer did not start");
            }
            // A dialer that is not running reads the links when it starts.
            let _stopped = self.shared.dialer.cast(DialerMessage::LinkEnded { node, was_up_for: None });
        }
    }
}

impl Actor for Endpoint {
    type Message = EndpointMessage;
    type State = Arc<Transport>;
    const KIND: &'static str = "endpoint";
    const MAILBOX_MAX: usize = 256;

    async fn start(&self, cx: &Context<EndpointMessage>) -> Result<Arc<Transport>, ActorError> {
        let events: Arc<dyn TransportEvents> = Arc::clone(&self.shared) as _;
        let (transport, ended) = Transport::start(self.shared.node, &self.key, events).await?;
        cx.spawn_message("node_server", async move {
            let _which = ended.await;
            EndpointMessage::NodeServerEnded
        });
        let shared = Arc::clone(&self.shared);
        cx.spawn("hints", async move {
            let outgoing = shared.hints.outgoing();
            loop {
                shared.send_hint(&outgoing.next().await);
            }
        });
        let shared = Arc::clone(&self.shared);
        cx.spawn("interest", async move {
            let mut interest = shared.hints.interest();
            while interest.changed().await.is_ok() {
                let topics = Topics::from(&*interest.borrow_and_update());
                shared.send_interest(&topics);
            }
        });
        Ok(Arc::new(transport))
    }

    async fn handle(
        &self,
        _: &Context<EndpointMessage>,
        message: EndpointMessage,
        transport: &mut Arc<Transport>,
    ) -> Result<(), ActorError> {
        match message {
            EndpointMessage::Adopt(peer) => self.adopt(transport, *peer).await,
            EndpointMessage::NodeServerEnded => return Err("the mesh's node server has ended".into()),
        }
        Ok(())
    }
}
