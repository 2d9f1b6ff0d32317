//! Counters of one incarnation of an actor.
//!
//! They cost almost nothing while they are not read: relaxed atomics that only the actor itself writes
//! (`sent` excepted); all arithmetic happens when the tree is read. Busy time comes from the coarse monotonic
//! clock, which stands still for one kernel tick (1 to 4 ms): a single short message measures as nothing or
//! as a tick, and the sum over many messages is right on average.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::kernel::time::coarse_ns;

use arc_swap::ArcSwapOption;

use super::work::{BegunWork, CurrentWork};

/// Counters of one incarnation. `sent` is written by all senders, everything else by the actor alone.
#[derive(Debug, Default)]
pub(super) struct Meter {
    sent: AtomicU64,
    handled: AtomicU64,
    busy_ns: AtomicU64,
    /// Index of the current message's variant plus one; 0 while the actor is idle.
    current: AtomicU32,
    /// When the current message began, by the coarse clock.
    since_ns: AtomicU64,
    /// What the actor works on, where it says so.
    work: ArcSwapOption<BegunWork>,
    /// Messages that the earlier incarnations handled.
    handled_before: u64,
    /// Busy time of the earlier incarnations.
    busy_before_ns: u64,
    kind: &'static str,
    names: &'static [&'static str],
    mailbox_max: usize,
}

impl Meter {
    /// Counters of a new incarnation, which continue the totals of this one.
    pub(super) fn successor(
        &self,
        kind: &'static str,
        names: &'static [&'static str],
        mailbox_max: usize,
    ) -> Self {
        Self {
            handled_before: self.handled_total(),
            busy_before_ns: self.busy_total_ns(),
            kind,
            names,
            mailbox_max,
            ..Self::default()
        }
    }

    /// Counters of an actor that does not run: the same actor, idle, with an empty mailbox.
    pub(super) fn idle_successor(&self) -> Self {
        self.successor(self.kind, self.names, self.mailbox_max)
    }

    /// Reserves a place in the mailbox; `false` when the mailbox is full.
    #[inline]
    pub(super) fn reserve(&self, mailbox_max: usize) -> bool {
        let sent = self.sent.fetch_add(1, Relaxed);
        // Between the two reads other senders may have sent, and the actor handled, any number of messages.
        let depth = sent.saturating_sub(self.handled.load(Relaxed));
        let free = depth < mailbox_max as u64;
        if !free {
            self.release();
        }
        free
    }

    /// Reserves a place even in a full mailbox.
    pub(super) fn reserve_always(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// Gives a reserved place back: the message was not sent.
    pub(super) fn release(&self) {
        self.sent.fetch_sub(1, Relaxed);
    }

    /// The actor begins to handle the message variant `index`. The result goes to [`end`](Self::end).
    #[inline]
    pub(super) fn begin(&self, index: usize) -> u64 {
        let now = coarse_ns();
        self.since_ns.store(now, Relaxed);
        self.current.store(index as u32 + 1, Relaxed);
        now
    }

    /// The actor has handled the message that it began at `began`.
    #[inline]
    pub(super) fn end(&self, began: u64) {
        // The actor is the only writer: a load and a store, where an atomic addition would cost a locked
        // instruction.
        let busy = coarse_ns().saturating_sub(began);
        if busy > 0 {
            self.busy_ns.store(self.busy_ns.load(Relaxed) + busy, Relaxed);
        }
        self.current.store(0, Relaxed);
        self.handled.store(self.handled.load(Relaxed) + 1, Relaxed);
    }

    /// Kind of the actor.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Messages at which senders are refused.
    pub(super) fn mailbox_max(&self) -> usize {
        self.mailbox_max
    }

    /// Name of the message that is being handled.
    pub(super) fn current(&self) -> Option<&'static str> {
        let current = self.current.load(Relaxed).checked_sub(1)?;
        self.names.get(current as usize).copied()
    }

    pub(super) fn set_work(&self, work: Option<BegunWork>) {
        self.work.store(work.map(Arc::new));
    }

    /// What the actor works on.
    pub(super) fn work(&self) -> Option<CurrentWork> {
        self.work.load().as_deref().map(BegunWork::info)
    }

    /// Milliseconds since the current message began.
    pub(super) fn current_ms(&self) -> u64 {
        coarse_ns().saturating_sub(self.since_ns.load(Relaxed)) / 1_000_000
    }

    /// Messages that were handled by all incarnations, and messages that wait or are being handled.
    pub(super) fn handled_and_depth(&self) -> (u64, u64) {
        // `handled` is read first: a message that is sent and handled between the two reads counts as
        // waiting, and the depth is never negative.
        let handled = self.handled.load(Relaxed);
        (self.handled_before + handled, self.sent.load(Relaxed).saturating_sub(handled))
    }

    fn handled_total(&self) -> u64 {
        self.handled_before + self.handled.load(Relaxed)
    }

    /// Time that all incarnations spent in handling messages.
    pub(super) fn busy_total_ns(&self) -> u64 {
        self.busy_before_ns + self.busy_ns.load(Relaxed)
    }
}
