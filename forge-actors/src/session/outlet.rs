//! What waits for a client: the newest of everything, in a slot that its socket takes from when it can write.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::actor::SessionMessage;
use super::signals::Signals;
use super::wire::{CloseCode, TextFrame};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::slot::Slot;
use crate::reactor::{Delivery, MutationId, QueryResult, Sink, SubscriptionId, Tick, Version};
use crate::supervise::{Address, CastError};

/// What the reactor told and the client does not know yet.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) tick: Option<Tick>,
    pub(super) results: BTreeMap<SubscriptionId, Arc<QueryResult>>,
    pub(super) applied: Vec<MutationId>,
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.results.is_empty() && self.applied.is_empty()
    }

    /// Adds what is newer, and returns how many results it replaced.
    pub(super) fn merge(&mut self, newer: Self) -> usize {
        self.tick = self.tick.max(newer.tick);
        self.applied.extend(newer.applied);
        let before = self.results.len() + newer.results.len();
        self.results.extend(newer.results);
        before - self.results.len()
    }
}

/// A subscription that the client made, or that was made anew for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) id: SubscriptionId,
    /// The client's number.
    pub(super) wire: u32,
    /// The version that the client named.
    pub(super) version: Option<Version>,
    /// The former inner id; what the client has of it, it still has.
    pub(super) replaces: Option<SubscriptionId>,
}

/// The end of a connection: its code, and the words that go before.
#[derive(Debug)]
pub(super) struct End {
    pub(super) code: CloseCode,
    pub(super) fault: Option<Fault>,
}

/// Everything that waits.
#[derive(Default)]
pub(super) struct Pending {
    /// Answers to the client's own frames, oldest first. They are few: no frame is read while something waits
    /// to be written.
    pub(super) replies: Vec<TextFrame>,
    pub(super) opened: Vec<Opened>,
    pub(super) closed: Vec<SubscriptionId>,
    pub(super) news: News,
    /// Whether news are held back from now on.
    pub(super) held: Option<bool>,
    pub(super) end: Option<End>,
}

impl Pending {
    pub(super) fn open(&mut self, mut opened: Opened) {
        if let Some(former) = opened.replaces {
            self.news.results.remove(&former);
            // The client was not told of the former one either.
            if let Some(at) = self.opened.iter().position(|known| known.id == former) {
                let former = self.opened.swap_remove(at);
                (opened.version, opened.replaces) = (former.version, former.replaces);
            }
        }
        self.opened.push(opened);
    }

    pub(super) fn close(&mut self, id: SubscriptionId) {
        self.news.results.remove(&id);
        match self.opened.iter().position(|known| known.id == id) {
            Some(at) => self.closed.extend(self.opened.swap_remove(at).replaces),
            None => self.closed.push(id),
        }
    }
}

/// The way to one client. The actor and the reactor put in, the socket takes out.
pub(super) struct Outlet {
    pub(super) slot: Slot<Pending>,
    actor: Address<SessionMessage>,
    signals: Arc<Signals>,
}

impl Outlet {
    pub(super) fn new(actor: Address<SessionMessage>, signals: Arc<Signals>) -> Self {
        Self { slot: Slot::new(), actor, signals }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Pending)) {
        self.slot.put(|pending| change(pending.get_or_insert_default()));
    }

    pub(super) fn reply(&self, frame: TextFrame) {
        self.change(|pending| pending.replies.push(frame));
    }

    /// Ends the connection; the first reason counts.
    pub(super) fn end(&self, end: End) {
        self.change(|pending| {
            pending.end.get_or_insert(end);
        });
    }

    /// Sends a message to the session's actor. One whose mailbox is full has no hope of keeping up.
    pub(super) fn tell(&self, message: SessionMessage) {
        match self.actor.cast(message) {
            // Who is gone has closed the socket, or is about to.
            Ok(()) | Err(CastError::Gone) => {}
            Err(CastError::Full { .. }) => {
                let fault = Fault::new(Code::Overloaded, "the session cannot keep up");
                self.end(End { code: CloseCode::Busy, fault: Some(fault) });
            }
        }
    }

    fn advanced(&self, news: News) {
        let ended: Vec<_> =
            news.results.iter().filter(|(_, result)| is_final(result)).map(|(id, _)| *id).collect();
        if !ended.is_empty() {
            self.tell(SessionMessage::SubscriptionsEnded(ended));
        }
        if !news.applied.is_empty() {
            self.tell(SessionMessage::Applied(Box::from(news.applied.as_slice())));
        }
        let mut replaced = 0;
        self.change(|pending| replaced = pending.news.merge(news));
        self.signals.coalesced(replaced);
    }
}

impl Sink for Outlet {
    fn deliver(&self, delivery: Delivery) {
        match delivery {
            Delivery::Advanced { tick, mods, applied } => {
                let results = mods
                    .into_iter()
                    .map(|modification| (modification.subscription, modification.result))
                    .collect();
                self.advanced(News { tick: Some(tick), results, applied });
            }
            Delivery::Reset => self.tell(SessionMessage::Reset),
        }
    }
}

/// The subscription has ended with this result.
pub(super) fn is_final(result: &QueryResult) -> bool {
    result.outcome.as_ref().is_err_and(|fault| ends_subscription(fault.code()))
}

/// Codes after which asking again makes no sense.
pub(super) fn ends_subscription(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::Unauthenticated | Code::PermissionDenied | Code::Validation)
}
