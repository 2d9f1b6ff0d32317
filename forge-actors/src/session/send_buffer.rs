//! The one buffer between a session and its socket. The session's actor adds replies and opens subscriptions,
//! the reactor adds results, and the socket's task takes when the client can be written to.
//!
//! Limits: the newest result of each subscription ([`ClientState`]), [`REPLIES_WAITING_MAX`] replies, one
//! close reason. A client that reads slowly gets fewer transitions with newer results, never more to hold; a
//! client that lets too many replies wait is closed with 1013.

use std::sync::Arc;

use super::client_state::{ClientState, OpenedSubscription, TransitionFrame};
use super::limits::REPLIES_WAITING_MAX;
use super::messages::SessionMessage;
use super::signals::SessionSignals;
use super::wire::{CloseCode, CloseReason, TextFrame};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::wait_cell::WaitCell;
use crate::reactor::{Delivery, Modification, MutationId, QueryResult, Sink, SubscriptionId, Tick};
use crate::supervise::{Address, CastError};

/// What waits to be written to one client.
pub(super) struct SendBuffer {
    waiting: WaitCell<SendBufferState>,
    actor: Address<SessionMessage>,
    signals: Arc<SessionSignals>,
    result_bytes_max: usize,
}

#[derive(Default)]
struct SendBufferState {
    /// Replies to frames of the client, oldest first.
    replies: Vec<TextFrame>,
    client: ClientState,
    /// Why the connection is to be closed. The first reason counts.
    close: Option<CloseReason>,
}

/// What the socket's task is to write: the replies, then the close frame or the transition.
pub(super) struct Outgoing {
    pub(super) replies: Vec<TextFrame>,
    pub(super) close: Option<CloseReason>,
    pub(super) transition: Option<TransitionFrame>,
}

impl SendBuffer {
    pub(super) fn new(
        actor: Address<SessionMessage>,
        signals: Arc<SessionSignals>,
        result_bytes_max: usize,
    ) -> Self {
        Self { waiting: WaitCell::new(SendBufferState::default()), actor, signals, result_bytes_max }
    }

    /// Waits until there is something to write, and takes it.
    pub(super) async fn take(&self) -> Outgoing {
        self.waiting.wait_for(|waiting| waiting.take(self.result_bytes_max)).await
    }

    pub(super) fn reply(&self, frame: TextFrame) {
        self.waiting.change(|waiting| waiting.reply(frame));
    }

    pub(super) fn open(&self, opened: OpenedSubscription) {
        self.waiting.change(|waiting| waiting.client.open(opened));
    }

    pub(super) fn close_subscription(&self, id: SubscriptionId) {
        self.waiting.change(|waiting| waiting.client.close(id));
    }

    pub(super) fn refuse_subscription(&self, id: SubscriptionId, refusal: QueryResult) {
        self.waiting.change(|waiting| waiting.client.refuse(id, refusal));
    }

    pub(super) fn hold(&self, held: bool) {
        self.waiting.change(|waiting| waiting.client.hold(held));
    }

    /// Closes the connection after the replies that wait.
    pub(super) fn close(&self, reason: CloseReason) {
        self.waiting.change(|waiting| {
            waiting.close.get_or_insert(reason);
        });
    }

    /// Sends a message to the session's actor. An actor whose mailbox is full cannot keep up with its client,
    /// so the connection is closed.
    pub(super) fn send_to_actor(&self, message: SessionMessage) {
        match self.actor.cast(message) {
            // An actor that is gone has closed the socket, or is about to.
            Ok(()) | Err(CastError::Gone) => {}
            Err(CastError::Full { .. }) => self.close(overloaded()),
        }
    }

    fn deliver(&self, tick: Tick, mods: Vec<Modification>, applied: Vec<MutationId>) {
        let ended: Vec<_> = mods
            .iter()
            .filter(|modification| modification.result.ends_subscription())
            .map(|modification| modification.subscription)
            .collect();
        if !ended.is_empty() {
            self.send_to_actor(SessionMessage::SubscriptionsEnded(ended));
        }
        if !applied.is_empty() {
            self.send_to_actor(SessionMessage::MutationsApplied(Box::from(applied.as_slice())));
        }
        let replaced = self.waiting.change(|waiting| waiting.client.deliver(tick, mods, applied));
        self.signals.coalesced(replaced);
    }
}

impl SendBufferState {
    fn reply(&mut self, frame: TextFrame) {
        if self.replies.len() < REPLIES_WAITING_MAX {
            self.replies.push(frame);
        } else {
            self.close.get_or_insert_with(overloaded);
        }
    }

    fn take(&mut self, result_bytes_max: usize) -> Option<Outgoing> {
        let close = self.close.take();
        let transition = if close.is_none() { self.client.transition(result_bytes_max) } else { None };
        let replies = std::mem::take(&mut self.replies);
        let nothing = replies.is_empty() && close.is_none() && transition.is_none();
        (!nothing).then_some(Outgoing { replies, close, transition })
    }
}

impl Sink for SendBuffer {
    fn deliver(&self, delivery: Delivery) {
        match delivery {
            Delivery::Advanced { tick, mods, applied } => self.deliver(tick, mods, applied),
            Delivery::Reset => self.send_to_actor(SessionMessage::ReactorRestarted),
        }
    }
}

fn overloaded() -> CloseReason {
    CloseCode::TryAgainLater.because(Fault::new(Code::Overloaded, "the session cannot keep up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 1_000;

    fn frame() -> TextFrame {
        TextFrame::new(0, |_| {})
    }

    #[test]
    fn a_client_that_takes_no_reply_is_closed() {
        let mut buffer = SendBufferState::default();
        (0..REPLIES_WAITING_MAX).for_each(|_| buffer.reply(frame()));
        assert!(buffer.close.is_none());
        buffer.reply(frame());
        let outgoing = buffer.take(BYTES_MAX).expect("replies wait");
        assert_eq!(outgoing.replies.len(), REPLIES_WAITING_MAX);
        assert_eq!(outgoing.close.map(|reason| reason.code), Some(CloseCode::TryAgainLater));
        assert!(buffer.take(BYTES_MAX).is_none(), "everything was taken");
    }

    #[test]
    fn no_transition_follows_a_close() {
        let mut buffer = SendBufferState::default();
        buffer.client.deliver(Tick(1), Vec::new(), vec![MutationId(7)]);
        buffer.close = Some(overloaded());
        let outgoing = buffer.take(BYTES_MAX).expect("a close waits");
        assert!(outgoing.transition.is_none() && outgoing.close.is_some());
    }
}
