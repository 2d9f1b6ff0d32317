//! The `poller` actor: asks the ticker for polls, which find commits without a hint; its task hands hints
//! over to the ticker. `pace.rs` decides the pace of polls and of ticks.
//!
//! Without subscriptions the poller has no timer. The first subscription causes a tick, and the end of a
//! tick sets the timer again.

use std::sync::Arc;
use std::time::Instant;

use crate::change::TopicKind;
use crate::supervise::{Actor, ActorError, Context, Timer};

use super::messages::{PollerMessage, TickerMessage};
use super::pace::PollInterval;
use super::shared::ReactorShared;
use super::step::PendingHint;

pub(super) struct Poller {
    pub(super) shared: Arc<ReactorShared>,
}

pub(super) struct PollerState {
    interval: PollInterval,
    next: Option<Timer>,
}

impl Poller {
    fn poll(&self, cx: &Context<PollerMessage>, state: &mut PollerState) {
        state.next = None;
        if self.shared.has_subscriptions() {
            self.shared.ticker.notify(TickerMessage::PollDue);
            self.set_timer(cx, state);
        }
    }

    fn tick_ended(&self, cx: &Context<PollerMessage>, state: &mut PollerState, polled: bool, found: bool) {
        if polled {
            state.interval.polled(found);
        }
        // Every tick reads all changes, so the next poll is a whole interval away.
        self.set_timer(cx, state);
    }

    fn set_timer(&self, cx: &Context<PollerMessage>, state: &mut PollerState) {
        let timer = || cx.send_after(state.interval.current(), PollerMessage::Poll);
        state.next = self.shared.has_subscriptions().then(timer);
    }
}

impl Actor for Poller {
    type Message = PollerMessage;
    type State = PollerState;
    const KIND: &'static str = "poller";

    async fn start(&self, cx: &Context<PollerMessage>) -> Result<PollerState, ActorError> {
        let (hints, shared) = (self.shared.hints.subscribe(TopicKind::Tables), Arc::clone(&self.shared));
        // Hints go straight to the ticker: a detour through this mailbox would be the longest part of their
        // way.
        cx.spawn("hints", async move {
            loop {
                let tables = hints.next().await.topics.tables().collect();
                shared.hint(PendingHint { tables, first: Instant::now() });
            }
        });
        let config = &self.shared.executor.config;
        let interval = PollInterval::new(config.poll_min, config.poll_max);
        let mut state = PollerState { interval, next: None };
        self.poll(cx, &mut state);
        Ok(state)
    }

    async fn handle(
        &self,
        cx: &Context<PollerMessage>,
        message: PollerMessage,
        state: &mut PollerState,
    ) -> Result<(), ActorError> {
        match message {
            PollerMessage::Poll => self.poll(cx, state),
            PollerMessage::TickEnded { polled, found } => self.tick_ended(cx, state, polled, found),
        }
        Ok(())
    }
}
