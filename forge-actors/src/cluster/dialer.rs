//! The actor that connects this node to those that were there before it. Whom and when is decided in
//! [`plan`](super::plan).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint::EndpointMessage;
use super::greeting::{Greeter, Newcomer};
use super::handshake::HandshakeError;
use super::plan::Plan;
use super::room::{Room, is_dialable};
use super::signals::Signals;
use crate::kernel::ids::NodeId;
use crate::supervise::{Actor, ActorError, Address, Context, Timer};

/// Messages of the dialer.
#[derive(forge_app_macros::Message)]
pub(super) enum DialerMessage {
    /// The directory changed, or a dial is due.
    Look,
    /// A dial has ended.
    Dialled {
        /// The peer.
        node: NodeId,
        /// The connection, or why there is none.
        outcome: Result<Box<Newcomer>, HandshakeError>,
    },
    /// A link has ended.
    Ended {
        /// The peer.
        node: NodeId,
        /// How long it worked; `None` when it never did.
        was_up_for: Option<Duration>,
    },
}

/// The actor.
pub(super) struct Dialer {
    pub(super) room: Arc<Room>,
    pub(super) greeter: Greeter,
    pub(super) endpoint: Address<EndpointMessage>,
}

/// What the dialer remembers.
#[derive(Default)]
pub(super) struct DialerState {
    plan: Plan,
    next: Option<Timer>,
}

impl Dialer {
    fn look(&self, cx: &Context<DialerMessage>, state: &mut DialerState) {
        let directory = Arc::clone(&self.room.directory.borrow());
        let older = directory.iter().filter(|node| node.id < self.room.node && is_dialable(node));
        let now = Instant::now();
        let older: Vec<_> = older.map(|node| node.id).collect();
        // A dialer that was restarted finds the links of its predecessor.
        state.plan.keep(&older, |id| self.room.link_to(id).is_some(), now);
        for id in state.plan.due(now) {
            let Some(node) = directory.iter().find(|node| node.id == id) else { continue };
            let (greeter, address, peer) = (self.greeter.clone(), cx.address(), node.clone());
            cx.spawn("dial", async move {
                let outcome =
                    greeter.dial(peer.id, &peer.name, peer.mesh_address.as_deref().unwrap_or_default()).await;
                // A dialer that is gone has forgotten that it dialled.
                let _gone =
                    address.cast(DialerMessage::Dialled { node: peer.id, outcome: outcome.map(Box::new) });
            });
        }
        let due = state.plan.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        state.next = due.map(|delay| cx.send_after(delay, DialerMessage::Look));
    }

    fn dialled(&self, state: &mut DialerState, node: NodeId, outcome: Result<Box<Newcomer>, HandshakeError>) {
        let (error, lasting) = match outcome {
            Ok(newcomer) => {
                state.plan.reached(node);
                match self.endpoint.cast(EndpointMessage::Adopt(newcomer)) {
                    Ok(()) => return,
                    Err(error) => (error.to_string(), false),
                }
            }
            Err(error) => {
                Signals::greeting_failed("dialer");
                (error.to_string(), error.is_lasting())
            }
        };
        tracing::debug!(%node, error, "another node was not reached");
        self.room.failed(node, &error, lasting);
        state.plan.failed(node, Instant::now(), fastrand::f64());
    }
}

impl Actor for Dialer {
    type Message = DialerMessage;
    type State = DialerState;
    const KIND: &'static str = "mesh dialer";

    async fn start(&self, cx: &Context<DialerMessage>) -> Result<DialerState, ActorError> {
        let (mut directory, address) = (self.room.directory.subscribe(), cx.address());
        cx.spawn("directory", async move {
            // Seen or not: the first look must not wait for the next change.
            directory.mark_changed();
            while directory.changed().await.is_ok() {
                // A full mailbox holds a look already.
                let _full = address.cast(DialerMessage::Look);
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
            DialerMessage::Look => {}
            DialerMessage::Dialled { node, outcome } => self.dialled(state, node, outcome),
            DialerMessage::Ended { node, was_up_for } => {
                state.plan.ended(node, was_up_for, Instant::now(), fastrand::f64())
            }
        }
        self.look(cx, state);
        Ok(())
    }
}
