//! The actor that connects this node to the nodes that started before it. [`dial_plan`](super::dial_plan)
//! decides which peer is dialled when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connect::{Connector, PendingPeer};
use super::dial_plan::DialPlan;
use super::handshake::HandshakeError;
use super::messages::{DialerMessage, EndpointMessage};
use super::shared::{ClusterShared, is_dialable};
use super::signals::ClusterMetrics;
use crate::kernel::ids::NodeId;
use crate::supervise::{Actor, ActorError, Address, Context, Timer};

/// Dials peers and hands their connections to the endpoint.
pub(super) struct Dialer {
    pub(super) shared: Arc<ClusterShared>,
    pub(super) connector: Connector,
    pub(super) endpoint: Address<EndpointMessage>,
}

#[derive(Default)]
pub(super) struct DialerState {
    plan: DialPlan,
    next: Option<Timer>,
}

impl Dialer {
    /// Dials the peers that are due, and sets the timer for the next one.
    fn dial_due(&self, cx: &Context<DialerMessage>, state: &mut DialerState) {
        let directory = Arc::clone(&self.shared.directory.borrow());
        let older = directory.iter().filter(|node| node.id < self.shared.node && is_dialable(node));
        let now = Instant::now();
        let older: Vec<_> = older.map(|node| node.id).collect();
        // After a restart of the dialer, links of its predecessor are still up.
        state.plan.set_peers(&older, |id| self.shared.link_to(id).is_some(), now);
        for id in state.plan.take_due(now) {
            let Some(node) = directory.iter().find(|node| node.id == id) else { continue };
            let (connector, peer) = (self.connector.clone(), node.clone());
            cx.spawn_message("dial", async move {
                let address = peer.mesh_address.as_deref().unwrap_or_default();
                let result = connector.dial(peer.id, &peer.name, address).await.map(Box::new);
                DialerMessage::Dialled { node: peer.id, result }
            });
        }
        let delay = state.plan.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        state.next = delay.map(|delay| cx.send_after(delay, DialerMessage::DialDue));
    }

    fn dialled(
        &self,
        state: &mut DialerState,
        node: NodeId,
        result: Result<Box<PendingPeer>, HandshakeError>,
    ) {
        let (error, permanent) = match result {
            Ok(peer) => {
                state.plan.connected(node);
                match self.endpoint.cast(EndpointMessage::Adopt(peer)) {
                    Ok(()) => return,
                    Err(error) => (error.to_string(), false),
                }
            }
            Err(error) => {
                ClusterMetrics::handshake_failed("dialer");
                (error.to_string(), error.is_permanent())
            }
        };
        tracing::debug!(%node, error, "the connection to another node failed");
        self.shared.handshake_failed(node, &error, permanent);
        state.plan.failed(node, Instant::now(), fastrand::f64());
    }

    fn link_ended(&self, state: &mut DialerState, node: NodeId, was_up_for: Option<Duration>) {
        state.plan.link_ended(node, was_up_for, Instant::now(), fastrand::f64());
    }
}

impl Actor for Dialer {
    type Message = DialerMessage;
    type State = DialerState;
    const KIND: &'static str = "dialer";

    async fn start(&self, cx: &Context<DialerMessage>) -> Result<DialerState, ActorError> {
        let (mut directory, dialer) = (self.shared.directory.subscribe(), cx.address());
        cx.spawn("directory", async move {
            // The present directory counts as a change, so that the first dials start at once.
            directory.mark_changed();
            while directory.changed().await.is_ok() {
                // The message may be dropped when the mailbox is full: every message that is handled leads to
                // a check of the directory.
                dialer.notify(DialerMessage::DialDue);
            }
        });
        Ok(DialerState::default())
    }

    async fn handle(
        &self,
        cx: &Context<DialerMessage>,
        message: DialerMessage,
        state: &mut DialerState,
    ) -> Result<(), ActorError> {
        match message {
            DialerMessage::DialDue => {}
            DialerMessage::Dialled { node, result } => self.dialled(state, node, result),
            DialerMessage::LinkEnded { node, was_up_for } => self.link_ended(state, node, was_up_for),
        }
        self.dial_due(cx, state);
        Ok(())
    }
}
