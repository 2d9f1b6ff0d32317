//! What one connection is doing, and since when: the basis of every time limit on it.
//!
//! ```text
//! opened ─first byte…─▶ head ─request complete─▶ busy ─last answer─▶ idle ─first byte─▶ head …
//! ```
//! `head` ends after `header_timeout`, `idle` after `keep_alive`; `busy` has no limit here, since bodies and
//! handlers have their own. Beside it, an answer that the client does not take ends after `write_timeout`,
//! and a closing connection after [`LINGER`]. HTTP/2 has no `head` after its first request: frames that open
//! no stream prolong nothing, so `idle` covers it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::config::GatewayConfig;

/// How long a refused client may keep sending before its connection is closed under it. Closing at once would
/// reset the connection, and the reset would overtake the answer that says why (RFC 9112 §9.6).
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// A client that takes an answer slower than this is taken for one that does not take it.
const WRITE_BYTES_PER_SECOND_MIN: u64 = 4 * 1024;

/// "Not happening" among the moments below.
const NEVER: u64 = u64::MAX;

/// Moments are milliseconds since `opened`. Written by the connection's task, and by HTTP/2's stream tasks
/// when requests begin and end; each field stands for itself, so relaxed ordering is enough.
pub(super) struct Pulse {
    opened: Instant,
    in_flight: AtomicU32,
    http2: AtomicBool,
    lingers: AtomicBool,
    head_since: AtomicU64,
    idle_since: AtomicU64,
    stalled_since: AtomicU64,
    taken_bytes: AtomicU64,
    closing_since: AtomicU64,
}

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    Head,
    Idle,
    Write,
    Linger,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            in_flight: AtomicU32::new(0),
            http2: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(NEVER),
            taken_bytes: AtomicU64::new(0),
            closing_since: AtomicU64::new(NEVER),
        }
    }

    /// A request's head is complete.
    pub(super) fn request_begins(&self, http2: bool) {
        self.in_flight.fetch_add(1, Relaxed);
        self.head_since.store(NEVER, Relaxed);
        if http2 {
            self.http2.store(true, Relaxed);
        }
    }

    /// Its answer is ready to be written.
    pub(super) fn request_ends(&self) {
        if self.in_flight.fetch_sub(1, Relaxed) == 1 {
            self.idle_since.store(self.now(), Relaxed);
        }
    }

    /// The answer went out before the body came in: read the rest for a moment, lest the client lose the
    /// answer.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Relaxed)
    }

    pub(super) fn bytes_came(&self) {
        let idle = self.in_flight.load(Relaxed) == 0 && self.head_since.load(Relaxed) == NEVER;
        if idle && !self.http2.load(Relaxed) {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    /// The kernel took `taken` of `offered` bytes; a full take means that the client keeps up.
    pub(super) fn bytes_went(&self, taken: usize, offered: usize) {
        if self.stalled_since.load(Relaxed) == NEVER {
            return;
        }
        if taken == offered {
            self.stalled_since.store(NEVER, Relaxed);
            self.taken_bytes.store(0, Relaxed);
        } else {
            self.taken_bytes.fetch_add(taken as u64, Relaxed);
        }
    }

    pub(super) fn write_stalls(&self) {
        if self.stalled_since.load(Relaxed) == NEVER {
            self.stalled_since.store(self.now(), Relaxed);
        }
    }

    pub(super) fn closes(&self) {
        if self.closing_since.load(Relaxed) == NEVER {
            self.closing_since.store(self.now(), Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    /// The nearest limit of what is happening now.
    fn deadline(&self, limits: &Limits) -> Option<(Instant, Expired)> {
        let after = |since: u64, limit: Duration, expired| {
            (since != NEVER).then(|| (self.opened + Duration::from_millis(since) + limit, expired))
        };
        let taken = Duration::from_secs(self.taken_bytes.load(Relaxed) / WRITE_BYTES_PER_SECOND_MIN);
        let write = after(self.stalled_since.load(Relaxed), limits.write + taken, Expired::Write);
        let closing = after(self.closing_since.load(Relaxed), LINGER, Expired::Linger);
        let read = if self.in_flight.load(Relaxed) == 0 {
            let head = after(self.head_since.load(Relaxed), limits.head, Expired::Head);
            head.or_else(|| after(self.idle_since.load(Relaxed), limits.idle, Expired::Idle))
        } else {
            None
        };
        [write, closing, read].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// The time limits of connections.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    head: Duration,
    idle: Duration,
    write: Duration,
}

impl Limits {
    pub(super) fn new(config: &GatewayConfig) -> Self {
        Self { head: config.header_timeout, idle: config.keep_alive, write: config.write_timeout }
    }
}

/// Ends when a limit is reached. Polled after the connection in the connection's own task, so that it sees
/// each change of the pulse; the timer is moved only when a limit comes nearer, not with each request.
pub(super) struct Watchdog<'a> {
    pulse: &'a Pulse,
    limits: Limits,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Watchdog<'a> {
    pub(super) fn new(pulse: &'a Pulse, limits: Limits) -> Self {
        Self { pulse, limits, timer: Box::pin(sleep_until(pulse.opened + limits.head)) }
    }
}

impl Future for Watchdog<'_> {
    type Output = Expired;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Expired> {
        loop {
            let Some((deadline, expired)) = self.pulse.deadline(&self.limits) else { return Poll::Pending };
            if deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if deadline <= Instant::now() {
                return Poll::Ready(expired);
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}
