//! Messages that wait to be sent to one peer, in bounded memory.
//!
//! ```text
//!   hint, queue, … ──▶ pending ──▶ frames of ≤ 64 KiB ──▶ window (unacknowledged bytes) ──▶ link
//!                        │ hints merge; hints that name too much are counted and replaced by a resync
//!                        └ requests and responses queue; too many are refused
//! ```
//!
//! A peer that reads nothing costs at most one set of pending messages, one backlog of frames made from such
//! a set, and one window. Hints merge into one, so a slow peer receives fewer hints but misses no change. The
//! peer acknowledges a frame after it has handled it, so the window also bounds the unread frames in the
//! mailboxes of both nodes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::watch;

use super::signals::ClusterMetrics;
use crate::kernel::commit::Xid;
use crate::kernel::envelope::{
    self, FrameHeader, InvokeResponse, LinkKey, MeshMessage, PART_BYTES_MAX, Topics,
};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::merge_slot::MergeSlot;

/// Tables and queues that the pending hint may name; a hint that names more is replaced by a resync.
pub(super) const TOPICS_MAX: usize = 1_024;
/// Requests, responses and cancellations that may wait; one more is refused.
pub(super) const QUEUE_MAX: usize = 1_024;
/// Bytes of the queued messages; a message that does not fit is refused.
pub(super) const QUEUE_BYTES_MAX: usize = 2 * PART_BYTES_MAX;
/// Bytes after which a frame is full; a larger message gets a frame of its own.
const FRAME_FULL_BYTES: usize = 64 * 1024;
/// Unacknowledged bytes above which nothing more is sent.
const WINDOW_BYTES: usize = 256 * 1024;

/// The messages that the next frames carry.
#[derive(Debug, Default)]
pub(super) struct PendingMessages {
    interest: Option<Topics>,
    resync: bool,
    hint: Option<(Option<Xid>, Topics)>,
    ping: Option<u64>,
    pong: Option<u64>,
    goodbye: bool,
    queue: VecDeque<Vec<u8>>,
    queue_bytes: usize,
}

/// A message was refused because the outbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutboxFull;

impl PendingMessages {
    /// Merges a hint into the pending one. False when the result names too much and is replaced by a resync.
    fn hint(&mut self, xid: Option<Xid>, topics: Topics) -> bool {
        let (newest_xid, merged) = self.hint.get_or_insert_default();
        *newest_xid = (*newest_xid).max(xid);
        merged.tables.extend(topics.tables);
        merged.queues.extend(topics.queues);
        let fits = merged.tables.len() + merged.queues.len() <= TOPICS_MAX;
        if !fits {
            self.hint = None;
            self.resync = true;
        }
        fits
    }

    fn queue(&mut self, part: Vec<u8>) -> Result<(), OutboxFull> {
        if self.queue.len() >= QUEUE_MAX || self.queue_bytes + part.len() > QUEUE_BYTES_MAX {
            return Err(OutboxFull);
        }
        self.queue_bytes += part.len();
        self.queue.push_back(part);
        Ok(())
    }

    /// Encodes everything as parts. Pongs and pings come first, because the peer measures their delay.
    fn into_parts(self) -> Vec<Vec<u8>> {
        let hint = self.hint.map(|(xid, topics)| MeshMessage::Hint { xid, topics });
        let small = [
            self.pong.map(|at| MeshMessage::Pong { at }),
            self.ping.map(|at| MeshMessage::Ping { at }),
            self.interest.map(MeshMessage::Interest),
            self.resync.then_some(MeshMessage::Resync),
            hint,
        ];
        let goodbye = self.goodbye.then_some(MeshMessage::Goodbye);
        let encode = |message: MeshMessage| {
            envelope::encode_part(&message).expect("these messages are far smaller than a part may be")
        };
        let mut parts: Vec<_> = small.into_iter().flatten().map(encode).collect();
        parts.extend(self.queue);
        parts.extend(goodbye.map(encode));
        parts
    }
}

/// Groups parts into the contents of frames of at most [`FRAME_FULL_BYTES`].
fn group_into_frames(parts: Vec<Vec<u8>>) -> VecDeque<Vec<Vec<u8>>> {
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

/// The frames that were sent and are not acknowledged yet.
#[derive(Debug, Default)]
pub(super) struct SendWindow {
    sequence: u64,
    unacknowledged: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl SendWindow {
    /// True while another frame may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.bytes < WINDOW_BYTES
    }

    /// Adds a frame that is sent now, and returns its number.
    pub(super) fn send(&mut self, bytes: usize) -> u64 {
        self.sequence += 1;
        self.unacknowledged.push_back((self.sequence, bytes));
        self.bytes += bytes;
        self.sequence
    }

    /// Removes the frames up to `sequence`, which the peer has handled.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        while let Some((_, bytes)) = self.unacknowledged.front().filter(|(sent, _)| *sent <= sequence) {
            self.bytes -= bytes;
            self.unacknowledged.pop_front();
        }
    }
}

/// The outbox of one link. Any task may put messages in; the link's pump takes them out.
#[derive(Debug)]
pub(super) struct Outbox {
    link: LinkKey,
    pending: MergeSlot<PendingMessages>,
    /// The newest frame of the peer that this node has handled and not acknowledged yet.
    handled: MergeSlot<u64>,
    /// The newest frame of this node that the peer has handled.
    acknowledged: watch::Sender<u64>,
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl Outbox {
    pub(super) fn new(link: LinkKey) -> Self {
        let (pending, handled) = (MergeSlot::new(), MergeSlot::new());
        Self {
            link,
            pending,
            handled,
            acknowledged: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Number of messages that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Number of hints that were replaced by a resync.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Puts a hint in. False when the pending hint names too much and is replaced by a resync.
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

    /// Queues the part of a request, a response or a cancellation.
    pub(super) fn queue(&self, part: Vec<u8>) -> Result<(), OutboxFull> {
        self.put(|pending| pending.queue(part))
    }

    /// Queues the response to a request of the peer. A response that is too large is replaced by a fault. A
    /// response that finds the outbox full is dropped and counted; the caller's deadline then ends its wait.
    pub(super) fn respond(&self, id: u64, result: Result<Bytes, Fault>) {
        let encode =
            |result| envelope::encode_part(&MeshMessage::InvokeResponse(InvokeResponse { id, result }));
        let part = encode(result).or_else(|error| {
            let message = format!("the response cannot be sent to another node: {error}");
            encode(Err(Fault::new(Code::PayloadTooLarge, message)))
        });
        if !matches!(part.map(|part| self.queue(part)), Ok(Ok(()))) {
            ClusterMetrics::response_dropped();
        }
    }

    /// Records that the peer has handled the frames of this node up to `sequence`.
    pub(super) fn acknowledged(&self, sequence: u64) {
        self.acknowledged.send_if_modified(|newest| {
            let newer = sequence > *newest;
            *newest = sequence.max(*newest);
            newer
        });
    }

    /// Records that this node has handled the peer's frame, so that the pump acknowledges it.
    pub(super) fn handled(&self, sequence: u64) {
        self.handled.put(|newest| *newest = (*newest).max(Some(sequence)));
    }

    fn put<T>(&self, change: impl FnOnce(&mut PendingMessages) -> T) -> T {
        let mut result = None;
        self.pending.put(|pending| {
            let pending = pending.get_or_insert_default();
            result = Some(change(pending));
            let hint = usize::from(pending.hint.is_some());
            self.waiting.store(pending.queue.len() + hint, Ordering::Relaxed);
        });
        result.expect("a slot calls the closure that it is given")
    }

    /// Sends frames as the window allows, until `send` returns false because the link has ended.
    pub(super) async fn pump(&self, send: impl Fn(Vec<u8>) -> bool) {
        let mut acknowledged = self.acknowledged.subscribe();
        let (mut window, mut backlog, mut handled) = (SendWindow::default(), VecDeque::new(), 0);
        loop {
            while window.is_open()
                && let Some(parts) = backlog.pop_front()
            {
                let bytes = Vec::len(&parts) + parts.iter().map(Vec::len).sum::<usize>();
                handled = self.handled.try_take().unwrap_or(handled);
                let sequence = window.send(bytes);
                let header = FrameHeader { link: self.link, sequence, acknowledged: handled };
                if !send(envelope::encode_frame(header, &parts)) {
                    return;
                }
            }
            tokio::select! {
                biased;
                newest = self.handled.take() => {
                    handled = newest;
                    // Pending messages travel in one frame with the acknowledgement.
                    if backlog.is_empty() && window.is_open() && let Some(pending) = self.pending.try_take() {
                        backlog = self.take(pending);
                        self.handled.put(|waiting| *waiting = (*waiting).max(Some(newest)));
                        continue;
                    }
                    let header = FrameHeader { link: self.link, sequence: 0, acknowledged: handled };
                    if !send(envelope::encode_frame(header, &[])) {
                        return;
                    }
                }
                // The channel stays open, because `self` owns its sender.
                _alive = acknowledged.changed() => window.acknowledge(*acknowledged.borrow_and_update()),
                pending = self.pending.take(), if backlog.is_empty() && window.is_open() => {
                    backlog = self.take(pending);
                }
            }
        }
    }

    fn take(&self, pending: PendingMessages) -> VecDeque<Vec<Vec<u8>>> {
        self.waiting.store(0, Ordering::Relaxed);
        group_into_frames(pending.into_parts())
    }
}

#[cfg(test)]
impl Outbox {
    /// Takes the pending messages out, encoded as parts.
    pub(super) fn drain(&self) -> Vec<Vec<u8>> {
        self.pending.try_take().map(PendingMessages::into_parts).unwrap_or_default()
    }
}
