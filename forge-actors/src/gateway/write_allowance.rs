//! How long a client may take nothing of what is sent to it.
//!
//! A client has `write_timeout`, and one second more for each 4 KiB that it takes. Time is counted only while
//! bytes wait for the client. Buffers between both (the kernel's, the window of an HTTP/2 stream) take bytes
//! before the client does, and then take nothing while the client empties them; the time that such bytes earn
//! is saved, up to what the buffers may hold. So a client that takes 4 KiB a second is never cut, in however
//! large pieces its progress becomes visible.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::kernel::limits::CLIENT_BYTES_PER_SECOND_MIN;

/// No moment is set.
const NEVER: u64 = u64::MAX;

/// The allowance of one receiver. Moments are microseconds of a clock that the caller chooses. Written by the
/// task that writes to the client, read by the one that judges; a value that is one write old harms nothing,
/// so relaxed ordering is enough.
pub(super) struct WriteAllowance {
    timeout: u64,
    left_max: u64,
    /// Time that may still pass after `waiting_since`, or after the next wait begins.
    left: AtomicU64,
    waiting_since: AtomicU64,
    /// All waits that have ended, together.
    waited: AtomicU64,
}

impl WriteAllowance {
    /// `buffered_bytes_max` is what buffers may hold that the client has not taken.
    pub(super) fn new(timeout: Duration, buffered_bytes_max: u64) -> Self {
        let timeout = u64::try_from(timeout.as_micros()).unwrap_or(NEVER / 2);
        Self {
            timeout,
            left_max: timeout.saturating_add(earned(buffered_bytes_max)),
            left: AtomicU64::new(timeout),
            waiting_since: AtomicU64::new(NEVER),
            waited: AtomicU64::new(0),
        }
    }

    /// Another response begins, for which the client has at least the timeout; but not when bytes wait
    /// already.
    pub(super) fn renew(&self) {
        if self.waiting_since.load(Relaxed) == NEVER {
            self.left.fetch_max(self.timeout, Relaxed);
        }
    }

    /// Bytes wait for the client.
    pub(super) fn wait(&self, now: impl FnOnce() -> u64) {
        if self.waiting_since.load(Relaxed) == NEVER {
            self.waiting_since.store(now(), Relaxed);
        }
    }

    /// No byte waits any more.
    pub(super) fn end_wait(&self, now: impl FnOnce() -> u64) {
        let since = self.waiting_since.load(Relaxed);
        if since == NEVER {
            return;
        }
        let passed = now().saturating_sub(since);
        self.left.store(self.left.load(Relaxed).saturating_sub(passed), Relaxed);
        self.waited.fetch_add(passed, Relaxed);
        self.waiting_since.store(NEVER, Relaxed);
    }

    /// The client, or a buffer on the way, took `bytes`.
    pub(super) fn take(&self, bytes: u64, now: impl FnOnce() -> u64) {
        let since = self.waiting_since.load(Relaxed);
        let passed = if since == NEVER { 0 } else { now().saturating_sub(since) };
        let left = self.left.load(Relaxed).saturating_add(earned(bytes));
        self.left.store(left.min(self.left_max.saturating_add(passed)), Relaxed);
    }

    /// When the client will have taken nothing for too long; `None` while nothing waits for it.
    pub(super) fn deadline(&self) -> Option<u64> {
        let since = self.waiting_since.load(Relaxed);
        (since != NEVER).then(|| since.saturating_add(self.left.load(Relaxed)))
    }

    /// How long bytes have waited, in all.
    pub(super) fn waited(&self, now: u64) -> u64 {
        let since = self.waiting_since.load(Relaxed);
        let current = if since == NEVER { 0 } else { now.saturating_sub(since) };
        self.waited.load(Relaxed).saturating_add(current)
    }
}

fn earned(bytes: u64) -> u64 {
    bytes.saturating_mul(1_000_000) / CLIENT_BYTES_PER_SECOND_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::secs;

    const SECOND: u64 = 1_000_000;
    const KIB: u64 = 1024;

    /// Reads at `rate` bytes a second what becomes visible in pieces, for at most ten minutes; the second in
    /// which it is cut.
    fn cut_after(rate: u64, piece: u64) -> Option<u64> {
        let allowance = WriteAllowance::new(secs(10), 128 * KIB);
        // What fits into the buffers is taken at once.
        allowance.take(128 * KIB, || 0);
        allowance.wait(|| 0);
        let mut visible = 0;
        (1..600).find(|second| {
            let pieces = second * rate / piece;
            if pieces > visible {
                allowance.take((pieces - visible) * piece, || second * SECOND);
                visible = pieces;
            }
            allowance.deadline().is_some_and(|deadline| deadline < second * SECOND)
        })
    }

    #[test]
    fn a_client_that_takes_four_kibibytes_a_second_is_not_cut() {
        for piece in [1, 16 * KIB, 64 * KIB, 125 * KIB] {
            assert_eq!(cut_after(4 * KIB, piece), None, "pieces of {piece}");
            assert_eq!(cut_after(20 * KIB, piece), None, "pieces of {piece}");
        }
    }

    #[test]
    fn a_slower_client_is_cut_however_often_it_takes_something() {
        // The buffers' 32 s and the timeout's 10 s shrink by a quarter of a second per second.
        assert_eq!(cut_after(3 * KIB, 1_536), Some(169));
        assert_eq!(cut_after(1, 1), Some(43));
        assert_eq!(cut_after(0, 1), Some(43));
    }

    #[test]
    fn only_time_in_which_bytes_wait_counts() {
        let allowance = WriteAllowance::new(secs(10), 0);
        assert_eq!(allowance.deadline(), None);
        allowance.wait(|| 5 * SECOND);
        allowance.wait(|| 6 * SECOND);
        assert_eq!(allowance.deadline(), Some(15 * SECOND));
        allowance.end_wait(|| 8 * SECOND);
        assert_eq!((allowance.deadline(), allowance.waited(9 * SECOND)), (None, 3 * SECOND));
        allowance.wait(|| 100 * SECOND);
        assert_eq!(allowance.deadline(), Some(107 * SECOND));
        assert_eq!(allowance.waited(101 * SECOND), 4 * SECOND);
        allowance.renew();
        assert_eq!(allowance.deadline(), Some(107 * SECOND), "a response that begins meanwhile adds nothing");
        allowance.end_wait(|| 101 * SECOND);
        allowance.renew();
        allowance.wait(|| 200 * SECOND);
        assert_eq!(allowance.deadline(), Some(210 * SECOND));
    }
}
