//! How many writes about runs a node has under way at the same time. Recorder, leaver, ender and starter
//! share one limiter, so that on a busy node all of them write larger batches: a statement with its commit
//! costs as much as ten rows.
//!
//! | Writes under way | another one begins |
//! |---|---|
//! | none, one | at once: while the server writes one batch, the node executes the runs of the other |
//! | two | when the last one began 0.3 ms ago: its batch is large |
//! | three | when the last one began 1 ms ago: it waits for the disk rather than for a core |
//! | any | when the last one began 10 ms ago (it may wait for a lock), if its writer has none |
//!
//! Writers that wait begin in the order in which they came, so none waits for more than a batch of each other
//! one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::messages::BatchMessage;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::millis;
use crate::supervise::Address;

/// Writes that are under way at the same time, unless they are stuck.
const WRITES_MAX: usize = 4;
/// A write that is under way for so long leaves a core to a third one.
const LONG: Duration = Duration::from_micros(300);
/// A write that is under way for so long waits for the disk.
const SLOW: Duration = millis(1);
/// A write that is under way for so long may wait for a lock: other writers do not wait for it.
const STUCK: Duration = millis(10);

/// See the module.
pub(super) struct WriteLimiter {
    /// Filled at its making. Read and written by all writers.
    under_way: MergeSlot<UnderWay>,
}

/// The place of a writer among those that share a limiter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct WriterId(usize);

/// What is being written, and who waits to write.
#[derive(Default)]
struct UnderWay {
    writers: Vec<LimitedWriter>,
    /// Writes under way.
    writes: usize,
    /// When the last of them began.
    began: Option<Instant>,
    /// Writers that were refused, in the order in which they were.
    waiting: VecDeque<WriterId>,
}

struct LimitedWriter {
    address: Address<BatchMessage>,
    /// Its writes under way.
    writes: usize,
}

/// A write that is under way until this is dropped.
pub(super) struct Writing {
    limiter: Arc<WriteLimiter>,
    writer: WriterId,
}

impl WriteLimiter {
    pub(super) fn new() -> Arc<Self> {
        let under_way = MergeSlot::new();
        under_way.put(|slot| *slot = Some(UnderWay::default()));
        Arc::new(Self { under_way })
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut UnderWay) -> T) -> T {
        self.under_way
            .take_part(|under_way| Some(use_it(under_way)))
            .expect("the slot is filled at its making")
    }

    /// Adds a writer. It is sent [`BatchMessage::Proceed`] when it waits and may write.
    pub(super) fn add(&self, address: Address<BatchMessage>) -> WriterId {
        self.with(|under_way| {
            under_way.writers.push(LimitedWriter { address, writes: 0 });
            WriterId(under_way.writers.len() - 1)
        })
    }

    /// Begins a write. A writer that is refused waits for its turn.
    pub(super) fn begin(self: &Arc<Self>, writer: WriterId) -> Option<Writing> {
        let (begins, next) = self.with(|under_way| {
            let begins = under_way.begin(writer, Instant::now());
            (begins, begins.then(|| under_way.next()).flatten())
        });
        notify(next);
        begins.then(|| Writing { limiter: Arc::clone(self), writer })
    }

    /// Whether a write may begin. A writer that is refused waits for its turn.
    pub(super) fn may_begin(&self, writer: WriterId) -> bool {
        self.with(|under_way| under_way.allows_or_waits(writer, Instant::now()))
    }

    /// A writer has no rows any more.
    pub(super) fn withdraw(&self, writer: WriterId) {
        notify(self.with(|under_way| {
            under_way.waiting.retain(|waiting| *waiting != writer);
            under_way.next()
        }));
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        notify(self.limiter.with(|under_way| {
            under_way.writes -= 1;
            under_way.writers[self.writer.0].writes -= 1;
            under_way.next()
        }));
    }
}

/// Has the writer look whose turn is next.
fn notify(next: Option<Address<BatchMessage>>) {
    if let Some(next) = next {
        next.notify(BatchMessage::Proceed);
    }
}

impl UnderWay {
    fn begin(&mut self, writer: WriterId, now: Instant) -> bool {
        if !self.allows_or_waits(writer, now) {
            return false;
        }
        self.waiting.retain(|waiting| *waiting != writer);
        self.writes += 1;
        self.writers[writer.0].writes += 1;
        self.began = Some(now);
        true
    }

    fn allows_or_waits(&mut self, writer: WriterId, now: Instant) -> bool {
        let allows = self.allows(writer, now);
        if !allows && !self.waiting.contains(&writer) {
            self.waiting.push_back(writer);
        }
        allows
    }

    /// See the table of the module.
    fn allows(&self, writer: WriterId, now: Instant) -> bool {
        let age = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let is_turn = self.waiting.front().is_none_or(|first| *first == writer);
        let begins = match self.writes {
            0 | 1 => true,
            2 => age > LONG,
            writes => writes < WRITES_MAX && age > SLOW,
        };
        is_turn && begins || self.writers[writer.0].writes == 0 && age > STUCK
    }

    /// The writer whose turn is next.
    fn next(&self) -> Option<Address<BatchMessage>> {
        let first = self.waiting.front()?;
        Some(self.writers[first.0].address.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::Mailbox;
    use crate::workflow::batches::BatchWriter;
    use crate::workflow::shared::Recorder;

    fn under_way() -> UnderWay {
        let writer = || LimitedWriter { address: Mailbox::of::<BatchWriter<Recorder>>().1, writes: 0 };
        UnderWay { writers: vec![writer(), writer(), writer()], ..UnderWay::default() }
    }

    const A: WriterId = WriterId(0);
    const B: WriterId = WriterId(1);
    const C: WriterId = WriterId(2);

    #[test]
    fn two_writes_begin_at_once_and_further_ones_when_the_last_one_takes_long() {
        let (mut under_way, mut now) = (under_way(), Instant::now());
        assert!(under_way.begin(A, now) && under_way.begin(A, now));
        assert!(!under_way.begin(A, now));
        now += LONG * 2;
        assert!(under_way.begin(A, now));
        assert!(!under_way.begin(A, now + LONG * 2));
        now += SLOW * 2;
        assert!(under_way.begin(A, now));
        assert!(!under_way.begin(A, now + STUCK * 2), "four are the most");
    }

    #[test]
    fn writers_begin_in_the_order_in_which_they_were_refused() {
        let (mut under_way, now) = (under_way(), Instant::now());
        assert!(under_way.begin(A, now) && under_way.begin(A, now));
        assert!(!under_way.begin(B, now) && !under_way.begin(C, now) && !under_way.begin(A, now));
        under_way.writes = 0;
        assert!(!under_way.begin(C, now) && !under_way.begin(A, now), "it is not their turn");
        assert!(under_way.begin(B, now) && under_way.begin(C, now));
    }

    #[test]
    fn no_writer_waits_for_those_that_are_stuck() {
        let (mut under_way, mut now) = (under_way(), Instant::now());
        for _ in 0..WRITES_MAX {
            assert!(under_way.begin(A, now));
            now += SLOW * 2;
        }
        assert!(!under_way.begin(B, now));
        assert!(under_way.begin(C, now + STUCK), "though another one waits for its turn");
        assert!(!under_way.begin(A, now + STUCK * 3), "a writer with writes under way waits for its turn");
    }
}
