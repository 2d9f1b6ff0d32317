//! What waits to be sent to one peer: bounded, and honest about what it drops.
//!
//! ```text
//!   offer ──▶ pending (hints merge, calls queue) ──▶ frames of ≤ 64 KiB ──▶ window (unacknowledged bytes) ──▶ link
//!               │ hints name too much: dropped, counted, resync marked
//!               └ too many calls: refused
//! ```
//!
//! A peer that takes nothing costs at most one pending set, one backlog made from such a set, and one window.
//! Hints merge into one, so a slow peer hears less often and never less; acknowledgements come from the
//! peer's endpoint after it has handled a frame, so the window bounds what lies in any mailbox in between,
//! here and there.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::kernel::commit::Xid;
use crate::kernel::envelope::{self, FrameHead, LinkKey, Message, PART_BYTES_MAX, Topics};
use crate::kernel::slot::Slot;

/// Tables and queues that one pending hint may name; one that names more becomes a resync.
pub(super) const TOPICS_MAX: usize = 1_024;
/// Calls and answers that may wait; one more is refused.
pub(super) const QUEUE_MAX: usize = 1_024;
/// Bytes of them; a message that does not fit is refused.
pub(super) const QUEUE_BYTES_MAX: usize = 2 * PART_BYTES_MAX;
/// Bytes after which a frame is full; a larger message has a frame of its own.
const FRAME_FULL_BYTES: usize = 64 * 1024;
/// Unacknowledged bytes over which nothing more is sent.
const WINDOW_BYTES: usize = 256 * 1024;

/// What is sent with the next frame.
#[derive(Debug, Default)]
pub(super) struct Pending {
    interest: Option<Topics>,
    resync: bool,
    hint: Option<(Option<Xid>, Topics)>,
    ping: Option<u64>,
    pong: Option<u64>,
    goodbye: bool,
    queue: VecDeque<Vec<u8>>,
    queue_bytes: usize,
}

/// The outbox was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Pending {
    /// Merges a hint; false when it named too much and became a resync.
    fn hint(&mut self, xid: Option<Xid>, topics: Topics) -> bool {
        let (held_xid, held) = self.hint.get_or_insert_default();
        *held_xid = (*held_xid).max(xid);
        held.tables.extend(topics.tables);
        held.queues.extend(topics.queues);
        let fits = held.tables.len() + held.queues.len() <= TOPICS_MAX;
        if !fits {
            self.hint = None;
            self.resync = true;
        }
        fits
    }

    fn queue(&mut self, part: Vec<u8>) -> Result<(), Full> {
        if self.queue.len() >= QUEUE_MAX || self.queue_bytes + part.len() > QUEUE_BYTES_MAX {
            return Err(Full);
        }
        self.queue_bytes += part.len();
        self.queue.push_back(part);
        Ok(())
    }

    /// Everything as parts, what is urgent first.
    fn into_parts(self) -> Vec<Vec<u8>> {
        let hint = self.hint.map(|(xid, topics)| Message::Hint { xid, topics });
        let small = [
            self.pong.map(|at| Message::Pong { at }),
            self.ping.map(|at| Message::Ping { at }),
            self.interest.map(Message::Interest),
            self.resync.then_some(Message::Resync),
            hint,
        ];
        let goodbye = self.goodbye.then_some(Message::Goodbye);
        let encode = |message: Message| {
            envelope::encode(&message).expect("these are bounded far below a part's limit")
        };
        let mut parts: Vec<_> = small.into_iter().flatten().map(encode).collect();
        parts.extend(self.queue);
        parts.extend(goodbye.map(encode));
        parts
    }
}

/// Groups parts into frames' contents: a frame is closed when it is full.
fn grouped(parts: Vec<Vec<u8>>) -> VecDeque<Vec<Vec<u8>>> {
    let mut groups: VecDeque<Vec<Vec<u8>>> = VecDeque::new();
    let mut bytes = FRAME_FULL_BYTES;
    for part in parts {
        let fits = bytes + part.len() <= FRAME_FULL_BYTES;
        bytes = part.len() + if fits { bytes } else { 0 };
        match groups.back_mut().filter(|_| fits) {
            Some(group) => group.push(part),
            None => groups.push_back(vec![part]),
        }
    }
    groups
}

/// What was sent and not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Window {
    sequence: u64,
    unacknowledged: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Window {
    /// More may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.bytes < WINDOW_BYTES
    }

    /// Numbers a frame that is sent now.
    pub(super) fn send(&mut self, bytes: usize) -> u64 {
        self.sequence += 1;
        self.unacknowledged.push_back((self.sequence, bytes));
        self.bytes += bytes;
        self.sequence
    }

    /// Everything up to `sequence` was handled.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        while let Some((_, bytes)) = self.unacknowledged.front().filter(|(sent, _)| *sent <= sequence) {
            self.bytes -= bytes;
            self.unacknowledged.pop_front();
        }
    }
}

/// The outbox of one link.
#[derive(Debug)]
pub(super) struct Outbox {
    link: LinkKey,
    pending: Slot<Pending>,
    /// The newest frame of the peer that was handled here and not yet acknowledged.
    handled: Slot<u64>,
    /// The newest frame that the peer has handled.
    acknowledged: watch::Sender<u64>,
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl Outbox {
    pub(super) fn new(link: LinkKey) -> Self {
        let (pending, handled) = (Slot::new(), Slot::new());
        Self {
            link,
            pending,
            handled,
            acknowledged: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Messages that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Hints that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// True when the hint will be told as it is.
    pub(super) fn hint(&self, xid: Option<Xid>, topics: Topics) -> bool {
        let kept = self.put(|pending| pending.hint(xid, topics));
        if !kept {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        kept
    }

    pub(super) fn interest(&self, topics: Topics) {
        self.put(|pending| pending.interest = Some(topics));
    }

    pub(super) fn ping(&self, at: u64) {
        self.put(|pending| pending.ping = Some(at));
    }

    pub(super) fn pong(&self, at: u64) {
        self.put(|pending| pending.pong = Some(at));
    }

    pub(super) fn goodbye(&self) {
        self.put(|pending| pending.goodbye = true);
    }

    /// Queues a call, an answer or a cancellation.
    pub(super) fn queue(&self, part: Vec<u8>) -> Result<(), Full> {
        self.put(|pending| pending.queue(part))
    }

    /// The peer has handled our frames up to `sequence`.
    pub(super) fn acknowledged(&self, sequence: u64) {
        self.acknowledged.send_if_modified(|newest| {
            let newer = sequence > *newest;
            *newest = sequence.max(*newest);
            newer
        });
    }

    /// We have handled the peer's frame.
    pub(super) fn handled(&self, sequence: u64) {
        self.handled.put(|newest| *newest = (*newest).max(Some(sequence)));
    }

    fn put<T>(&self, change: impl FnOnce(&mut Pending) -> T) -> T {
        let mut outcome = None;
        self.pending.put(|pending| {
            let pending = pending.get_or_insert_default();
            outcome = Some(change(pending));
            let hint = usize::from(pending.hint.is_some());
            self.waiting.store(pending.queue.len() + hint, Ordering::Relaxed);
        });
        outcome.expect("a slot runs what it is given")
    }

    /// Sends until `send` says that there is nobody to send to.
    pub(super) async fn pump(&self, send: impl Fn(Vec<u8>) -> bool) {
        let mut acknowledged = self.acknowledged.subscribe();
        let (mut window, mut backlog, mut handled) = (Window::default(), VecDeque::new(), 0);
        loop {
            while window.is_open()
                && let Some(parts) = backlog.pop_front()
            {
                let bytes = Vec::len(&parts) + parts.iter().map(Vec::len).sum::<usize>();
                handled = self.handled.try_take().unwrap_or(handled);
                let head = FrameHead { link: self.link, sequence: window.send(bytes), acknowledged: handled };
                if !send(envelope::frame(head, &parts)) {
                    return;
                }
            }
            tokio::select! {
                biased;
                newest = self.handled.take() => {
                    handled = newest;
                    // Small frames often meet: what is pending goes with the acknowledgement.
                    if backlog.is_empty() && window.is_open() && let Some(pending) = self.pending.try_take() {
                        backlog = self.take(pending);
                        self.handled.put(|held| *held = (*held).max(Some(newest)));
                        continue;
                    }
                    if !send(envelope::frame(FrameHead { link: self.link, sequence: 0, acknowledged: handled }, &[])) {
                        return;
                    }
                }
                // The sender lives in `self`.
                _alive = acknowledged.changed() => window.acknowledge(*acknowledged.borrow_and_update()),
                pending = self.pending.take(), if backlog.is_empty() && window.is_open() => backlog = self.take(pending),
            }
        }
    }

    fn take(&self, pending: Pending) -> VecDeque<Vec<Vec<u8>>> {
        self.waiting.store(0, Ordering::Relaxed);
        grouped(pending.into_parts())
    }
}

#[cfg(test)]
impl Outbox {
    /// What waits, as it would be sent.
    pub(super) fn drain(&self) -> Vec<Vec<u8>> {
        self.pending.try_take().map(Pending::into_parts).unwrap_or_default()
    }
}
