//! Hints: "something was committed", from those who commit to those who wait for it.
//!
//! ```text
//!   function ──announce──▶ ┬ ear of the reactor (tables)
//!                          ├ ear of the claimer (queues)
//!                          └ ear of the mesh ──▶ peers that are interested ──receive──▶ their ears
//! ```
//!
//! Each ear holds one hint, into which newer ones are merged: a slow listener hears less often, never late
//! and never more. A hint that is lost costs latency only, because every listener also looks by itself from
//! time to time.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::kernel::commit::{TableId, Xid};
use crate::kernel::slot::Slot;

/// Something was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The newest transaction that it speaks of.
    pub xid: Option<Xid>,
    /// Captured tables that were written.
    pub tables: BTreeSet<TableId>,
    /// Queues that got work.
    pub queues: BTreeSet<Arc<str>>,
}

impl Hint {
    /// True when it says nothing to anybody.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.queues.is_empty()
    }

    /// Speaks of what both speak of.
    pub fn merge(&mut self, other: Self) {
        self.xid = self.xid.max(other.xid);
        self.tables.extend(other.tables);
        self.queues.extend(other.queues);
    }
}

/// What a node wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interest {
    /// Tables that its live queries read.
    pub tables: BTreeSet<TableId>,
    /// Queues that its workers serve.
    pub queues: BTreeSet<Arc<str>>,
}

impl Interest {
    /// True when `hint` speaks of something that this node waits for.
    pub fn wants(&self, hint: &Hint) -> bool {
        !self.tables.is_disjoint(&hint.tables) || !self.queues.is_disjoint(&hint.queues)
    }
}

/// One listener's part of a node's interest; each sets its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterestPart {
    /// The tables that live queries read.
    Tables(BTreeSet<TableId>),
    /// The queues that workers serve.
    Queues(BTreeSet<Arc<str>>),
}

/// The hints of one node. Cheap to clone; every clone is the same.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    board: Arc<Board>,
}

#[derive(Debug, Default)]
struct Board {
    changes: Arc<Slot<Hint>>,
    jobs: Arc<Slot<Hint>>,
    outgoing: Arc<Slot<Hint>>,
    interest: watch::Sender<Interest>,
    definitions: watch::Sender<u64>,
}

impl Hints {
    /// Of a node that has heard nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells this node and its peers of a commit that was made here.
    pub fn announce(&self, hint: Hint) {
        if !hint.is_empty() {
            merge(&self.board.outgoing, hint.clone());
            self.receive(hint);
        }
    }

    /// Tells this node of a commit that was made elsewhere.
    pub fn receive(&self, hint: Hint) {
        if !hint.queues.is_empty() {
            merge(&self.board.jobs, Hint { queues: hint.queues, ..Hint::default() });
        }
        if !hint.tables.is_empty() {
            merge(&self.board.changes, Hint { queues: BTreeSet::new(), ..hint });
        }
    }

    /// The reactor's ear: tables.
    pub fn changes(&self) -> Ear {
        Ear { slot: Arc::clone(&self.board.changes) }
    }

    /// The claimer's ear: queues.
    pub fn jobs(&self) -> Ear {
        Ear { slot: Arc::clone(&self.board.jobs) }
    }

    /// The mesh's ear: what this node announced.
    pub fn outgoing(&self) -> Ear {
        Ear { slot: Arc::clone(&self.board.outgoing) }
    }

    /// Says what a listener waits for now.
    pub fn set_interest(&self, part: InterestPart) {
        self.board.interest.send_if_modified(|interest| match part {
            InterestPart::Tables(tables) => replace(&mut interest.tables, tables),
            InterestPart::Queues(queues) => replace(&mut interest.queues, queues),
        });
    }

    /// Says that tables, triggers or views may be others than before.
    pub fn suspect_definitions(&self) {
        self.board.definitions.send_modify(|news| *news += 1);
    }

    /// Changes whenever definitions may have changed.
    pub fn definitions(&self) -> watch::Receiver<u64> {
        self.board.definitions.subscribe()
    }

    /// What this node waits for.
    pub fn interest(&self) -> watch::Receiver<Interest> {
        self.board.interest.subscribe()
    }
}

fn merge(slot: &Slot<Hint>, hint: Hint) {
    slot.put(|held| match held {
        Some(held) => held.merge(hint),
        None => *held = Some(hint),
    });
}

fn replace<T: PartialEq>(held: &mut T, new: T) -> bool {
    let changed = *held != new;
    *held = new;
    changed
}

/// Where one listener hears; it survives the listener's restarts.
#[derive(Debug, Clone)]
pub struct Ear {
    slot: Arc<Slot<Hint>>,
}

impl Ear {
    /// Everything since the last call, once there is something.
    pub async fn next(&self) -> Hint {
        self.slot.take().await
    }
}
