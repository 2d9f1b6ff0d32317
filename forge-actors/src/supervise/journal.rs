//! The journal of a node's actors: a bounded ring of lifecycle events and one of crashes.
//!
//! Both rings number their entries from 1 without gaps, so a reader keeps the number of the last entry that
//! it read and learns how many entries were overwritten since. Writing takes a short lock and never waits for
//! readers. Each ring holds at most [`JOURNAL_ENTRIES_MAX`] entries; the oldest is overwritten. The crash
//! sink (`telemetry/crash_writer.rs`) stores crashes for longer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::panic::shorten;
use crate::kernel::limits::{CAUSE_BYTES_MAX, JOURNAL_ENTRIES_MAX};
use crate::kernel::time::Timestamp;

/// A step in the life of an actor, as the journal keeps it.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleEvent {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// When the step was recorded.
    pub at: Timestamp,
    /// Path of the actor.
    pub path: String,
    /// The step.
    pub kind: EventKind,
}

/// A step in the life of an actor.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
#[serde(tag = "event")]
pub enum EventKind {
    /// Its `start` returned.
    Started,
    /// It ended in order, or was killed because it did not stop in time.
    Stopped {
        /// It was killed.
        killed: bool,
    },
    /// It ended by an error, a panic or a kill from outside. The crash ring has the details.
    Crashed {
        /// The first line of the cause.
        cause: String,
    },
    /// It starts again after a delay.
    Restarting {
        /// The delay.
        after: Duration,
    },
    /// A supervisor has no restart left in its window: it stops its children.
    BudgetExhausted,
    /// A supervisor failed to its parent, which treats that as a crash.
    Escalated,
    /// The root's restart budget is exhausted: the node ends.
    GaveUp,
}

/// One crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// Counts from 1 without gaps; set by the journal.
    pub seq: u64,
    /// When the crash was recorded.
    pub at: Timestamp,
    /// Path of the actor; of a handler, the path of the actor that ran it and the handler's name.
    pub path: String,
    /// Kind of actor or handler.
    pub kind: String,
    /// Panic text or error chain.
    pub cause: String,
    /// The message that was being handled.
    pub message: Option<&'static str>,
    /// `file:line:column` of the panic.
    pub location: Option<String>,
    /// The stack of the panic; errors have none.
    pub backtrace: Option<Arc<str>>,
    /// How often the actor had been restarted before.
    pub restarts: u64,
}

impl Crash {
    /// A crash of `path` now. The cause is cut to [`CAUSE_BYTES_MAX`].
    pub fn new(path: &str, kind: &str, cause: &str) -> Self {
        Self {
            seq: 0,
            at: chrono::Utc::now(),
            path: path.to_owned(),
            kind: kind.to_owned(),
            cause: shorten(cause, CAUSE_BYTES_MAX),
            message: None,
            location: None,
            backtrace: None,
            restarts: 0,
        }
    }
}

/// Entries of a ring that a reader has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since<T> {
    /// The entries after the number that the reader gave, oldest first.
    pub entries: Vec<T>,
    /// Number of entries that were overwritten before they were read.
    pub lost: u64,
}

/// The two rings of one node.
#[derive(Debug)]
pub struct ActorJournal {
    events: Ring<LifecycleEvent>,
    crashes: Ring<Crash>,
}

impl Default for ActorJournal {
    fn default() -> Self {
        Self { events: Ring::new(), crashes: Ring::new() }
    }
}

impl ActorJournal {
    /// Records a crash and returns its number. Public because handlers, which are not actors, record their
    /// panics here too.
    pub fn record_crash(&self, crash: Crash) -> u64 {
        self.crashes.push(|seq| Crash { seq, ..crash })
    }

    pub(super) fn record(&self, path: &str, kind: EventKind) {
        self.events.push(|seq| LifecycleEvent { seq, at: chrono::Utc::now(), path: path.to_owned(), kind });
    }

    /// Crashes with a number above `seq`.
    pub fn crashes_since(&self, seq: u64) -> Since<Crash> {
        self.crashes.since(seq)
    }

    /// Events with a number above `seq`.
    pub fn events_since(&self, seq: u64) -> Since<LifecycleEvent> {
        self.events.since(seq)
    }

    /// Number of the newest event; 0 before the first.
    pub fn events_last(&self) -> u64 {
        *self.events.last.borrow()
    }

    /// Waits until there is a crash with a number above `seq`, then returns
    /// [`crashes_since`](Self::crashes_since) `seq`.
    pub async fn crashes_after(&self, seq: u64) -> Since<Crash> {
        self.crashes.after(seq).await
    }

    /// Waits until there is an event with a number above `seq`, then returns
    /// [`events_since`](Self::events_since) `seq`.
    pub async fn events_after(&self, seq: u64) -> Since<LifecycleEvent> {
        self.events.after(seq).await
    }
}

#[derive(Debug)]
struct Ring<T> {
    entries: Mutex<VecDeque<T>>,
    /// Number of the last entry. A change wakes the readers.
    last: watch::Sender<u64>,
}

impl<T: Clone> Ring<T> {
    fn new() -> Self {
        Self { entries: Mutex::default(), last: watch::Sender::new(0) }
    }

    fn push(&self, entry: impl FnOnce(u64) -> T) -> u64 {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = *self.last.borrow() + 1;
        if entries.len() == JOURNAL_ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(entry(seq));
        // Under the lock, so that the number and the ring never disagree.
        self.last.send_replace(seq);
        seq
    }

    fn since(&self, seq: u64) -> Since<T> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let unread = self.last.borrow().saturating_sub(seq);
        let kept = unread.min(entries.len() as u64);
        let skip = entries.len() - usize::try_from(kept).unwrap_or(entries.len());
        Since { entries: entries.iter().skip(skip).cloned().collect(), lost: unread - kept }
    }

    async fn after(&self, seq: u64) -> Since<T> {
        let mut last = self.last.subscribe();
        // The sender lives in `self`, so the wait ends only with a newer entry.
        let _ = last.wait_for(|newest| *newest > seq).await;
        self.since(seq)
    }
}
