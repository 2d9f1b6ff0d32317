//! What the elector and the subsystem's handle share.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::term::{Leadership, Term};

/// A leadership, and where its terms on this node are published.
pub(super) type Candidacies = BTreeMap<Leadership, watch::Sender<Option<Term>>>;

/// The state of the elections on one node.
///
/// | Field | Owner | Who may write | How readers are woken |
/// |---|---|---|---|
/// | `candidacies` | the handle | [`stand_for`](Self::stand_for) adds entries; the elector publishes terms in them | a receiver per leadership |
/// | `withdrawn` | the handle | [`withdraw`](Self::withdraw), once | the message `Withdraw` |
/// | `obstacle` | the elector | the elector | not at all: it is read when someone asks |
#[derive(Debug, Default)]
pub(super) struct LeaderShared {
    candidacies: watch::Sender<Candidacies>,
    withdrawn: watch::Sender<bool>,
    obstacle: watch::Sender<Option<String>>,
}

impl LeaderShared {
    /// Adds a candidacy, unless there is one already.
    pub(super) fn stand_for(&self, leadership: Leadership) -> watch::Receiver<Option<Term>> {
        self.candidacies.send_if_modified(|candidacies| {
            let known = candidacies.contains_key(&leadership);
            candidacies.entry(leadership).or_insert_with(|| watch::Sender::new(None));
            !known
        });
        self.candidacies.borrow()[&leadership].subscribe()
    }

    /// The leaderships that this node stands for.
    pub(super) fn leaderships(&self) -> Vec<Leadership> {
        self.candidacies.borrow().keys().copied().collect()
    }

    /// Publishes the present term of a leadership.
    pub(super) fn publish(&self, leadership: Leadership, term: Option<Term>) {
        if let Some(terms) = self.candidacies.borrow().get(&leadership) {
            terms.send_replace(term);
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
