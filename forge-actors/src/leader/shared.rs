//! What the elector and the subsystem's handle share.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::leadership::Leadership;
use super::term::Term;

/// Where the terms of this node are published, by leadership.
type TermSenders = BTreeMap<Leadership, watch::Sender<Option<Term>>>;

/// The state of the elections on one node.
#[derive(Debug, Default)]
pub(super) struct LeaderShared {
    /// Owned by the handle, whose `stand_for` adds entries. The elector publishes terms in the entries, which
    /// wakes their receivers.
    terms: watch::Sender<TermSenders>,
    /// Owned by the handle, whose `withdraw` sets it once. The message `WithdrawRequested` wakes the elector.
    withdrawn: watch::Sender<bool>,
    /// Owned and written by the elector. It wakes no reader.
    obstacle: watch::Sender<Option<String>>,
}

impl LeaderShared {
    /// Makes this node a candidate, unless it is one already.
    pub(super) fn stand_for(&self, leadership: Leadership) -> watch::Receiver<Option<Term>> {
        self.terms.send_if_modified(|terms| {
            let known = terms.contains_key(&leadership);
            terms.entry(leadership).or_insert_with(|| watch::Sender::new(None));
            !known
        });
        self.terms.borrow()[&leadership].subscribe()
    }

    /// The leaderships that this node stands for.
    pub(super) fn leaderships(&self) -> Vec<Leadership> {
        self.terms.borrow().keys().copied().collect()
    }

    /// Publishes the present term of a leadership.
    pub(super) fn publish(&self, leadership: Leadership, term: Option<Term>) {
        if let Some(sender) = self.terms.borrow().get(&leadership) {
            sender.send_replace(term);
        }
    }

    pub(super) fn withdraw(&self) {
        self.withdrawn.send_replace(true);
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        *self.withdrawn.borrow()
    }

    /// Notes why this node cannot lead; true when that is new.
    pub(super) fn set_obstacle(&self, obstacle: Option<String>) -> bool {
        self.obstacle.send_if_modified(|held| {
            let changed = *held != obstacle;
            *held = obstacle;
            changed
        })
    }

    pub(super) fn obstacle(&self) -> Option<String> {
        self.obstacle.borrow().clone()
    }
}
