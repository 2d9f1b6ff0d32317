//! The `poller` actor: hears of commits, and looks for those that nobody announced.
//!
//! It only wakes the ticker. While there are no subscriptions it has no timer; the ticker tells it when a
//! tick is over, and the first subscription causes a tick.

use std::sync::Arc;
use std::time::Instant;

use crate::change::TopicKind;
use crate::supervise::{Actor, ActorError, Context, Timer};

use super::node::{Heard, Node};
use super::pace::Watch;
use super::ticker::TickerMessage;

/// What the poller receives.
#[derive(forge_app_macros::Message)]
pub(super) enum PollerMessage {
    /// Time to look.
    Look,
    /// A tick is over that a look had caused; it found something, or not.
    Looked { found: bool },
    /// Another tick is over.
    Ticked,
}

pub(super) struct Poller {
    pub(super) node: Arc<Node>,
}

pub(super) struct PollerState {
    watch: Watch,
    next: Option<Timer>,
}

impl Poller {
    fn look(&self, cx: &Context<PollerMessage>, state: &mut PollerState) {
        state.next = None;
        if self.node.has_subscriptions() {
            self.node.tell_ticker(TickerMessage::Poll);
            self.rearm(cx, state);
        }
    }

    /// The next look is as far away as if there had just been one, since a tick sees everything.
    fn rearm(&self, cx: &Context<PollerMessage>, state: &mut PollerState) {
        state.next =
            self.node.has_subscriptions().then(|| cx.send_after(state.watch.interval(), PollerMessage::Look));
    }
}

impl Actor for Poller {
    type Message = PollerMessage;
    type State = PollerState;
    const KIND: &'static str = "reactor poller";

    async fn start(&self, cx: &Context<PollerMessage>) -> Result<PollerState, ActorError> {
        let (hints, node) = (self.node.hints.subscribe(TopicKind::Tables), Arc::clone(&self.node));
        // Straight to the ticker: a hop through this mailbox would be the longest part of the way of a hint.
        cx.spawn("listen", async move {
            loop {
                let tables = hints.next().await.topics.tables().collect();
                node.hear(Heard { tables, first: Instant::now() });
            }
        });
        let mut state = PollerState {
            watch: Watch::new(self.node.config.poll_min, self.node.config.poll_max),
            next: None,
        };
        self.look(cx, &mut state);
        Ok(state)
    }

    async fn handle(
        &self,
        cx: &Context<PollerMessage>,
        message: PollerMessage,
        state: &mut PollerState,
    ) -> Result<(), ActorError> {
        match message {
            PollerMessage::Look => self.look(cx, state),
            PollerMessage::Looked { found } => {
                state.watch.looked(found);
                self.rearm(cx, state);
            }
            PollerMessage::Ticked => self.rearm(cx, state),
        }
        Ok(())
    }
}
