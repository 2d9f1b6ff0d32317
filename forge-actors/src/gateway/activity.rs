//! What one connection is doing, and since when: the basis of every time limit on it.
//!
//! ```text
//! opened ─first byte…─▶ head ─request complete─▶ busy ─last answer─▶ idle ─first byte─▶ head …
//! ```
//! `head` ends after `header_timeout`, `idle` after `keep_alive`. `busy` has no limit here, since bodies and
//! handlers have limits of their own. Beside these, an answer that the client does not take ends after
//! `write_timeout`, and a closing connection after [`LINGER`]. HTTP/2 has no `head` after its first request:
//! frames that open no stream must not prolong anything, so `idle` covers them.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::config::GatewayConfig;
use crate::kernel::limits::CLIENT_BYTES_PER_SECOND_MIN;

/// How long a refused client may keep sending before its connection is closed. Closing at once would reset
/// the connection, and the client would lose the answer that says why (RFC 9112 §9.6).
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// The value of a moment below while that activity is not going on.
const NEVER: u64 = u64::MAX;

/// The activity of one connection. Moments are milliseconds since `opened`. Written by the connection's task,
/// and by the tasks of HTTP/2 streams when requests begin and end; each field stands for itself, so relaxed
/// ordering is enough.
pub(super) struct ActivityMonitor {
    opened: Instant,
    requests_running: AtomicU32,
    http2: AtomicBool,
    lingers: AtomicBool,
    head_since: AtomicU64,
    idle_since: AtomicU64,
    stalled_since: AtomicU64,
    taken_bytes: AtomicU64,
    closing_since: AtomicU64,
}

/// The limit that a connection has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeLimit {
    Head,
    Idle,
    Write,
    Linger,
}

impl ActivityMonitor {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            requests_running: AtomicU32::new(0),
            http2: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(NEVER),
            taken_bytes: AtomicU64::new(0),
            closing_since: AtomicU64::new(NEVER),
        }
    }

    /// The head of a request has arrived. The request runs until the value that is returned is dropped.
    pub(super) fn request_begins(&self, http2: bool) -> RunningRequest<'_> {
        self.requests_running.fetch_add(1, Relaxed);
        self.head_since.store(NEVER, Relaxed);
        if http2 {
            self.http2.store(true, Relaxed);
        }
        RunningRequest(self)
    }

    /// A request was answered before its body was read. The rest of the body is read and dropped for
    /// [`LINGER`], so that the client does not lose the answer.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Relaxed)
    }

    pub(super) fn bytes_read(&self) {
        let idle = self.requests_running.load(Relaxed) == 0 && self.head_since.load(Relaxed) == NEVER;
        if idle && !self.http2.load(Relaxed) {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    /// The kernel took `taken` of `offered` bytes. When it took all of them, the client keeps up.
    pub(super) fn bytes_written(&self, taken: usize, offered: usize) {
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

    pub(super) fn set_stalled(&self) {
        if self.stalled_since.load(Relaxed) == NEVER {
            self.stalled_since.store(self.now(), Relaxed);
        }
    }

    pub(super) fn set_closing(&self) {
        if self.closing_since.load(Relaxed) == NEVER {
            self.closing_since.store(self.now(), Relaxed);
        }
    }

    fn request_ends(&self) {
        if self.requests_running.fetch_sub(1, Relaxed) == 1 {
            self.idle_since.store(self.now(), Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    /// The nearest limit of the current activity.
    fn deadline(&self, timeouts: &ConnectionTimeouts) -> Option<(Instant, TimeLimit)> {
        let after = |since: u64, limit: Duration, expired| {
            (since != NEVER).then(|| (self.opened + Duration::from_millis(since) + limit, expired))
        };
        let taken = Duration::from_secs(self.taken_bytes.load(Relaxed) / CLIENT_BYTES_PER_SECOND_MIN);
        let write = after(self.stalled_since.load(Relaxed), timeouts.write + taken, TimeLimit::Write);
        let closing = after(self.closing_since.load(Relaxed), LINGER, TimeLimit::Linger);
        let read = if self.requests_running.load(Relaxed) == 0 {
            let head = after(self.head_since.load(Relaxed), timeouts.head, TimeLimit::Head);
            head.or_else(|| after(self.idle_since.load(Relaxed), timeouts.idle, TimeLimit::Idle))
        } else {
            None
        };
        [write, closing, read].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// A request that runs until this is dropped.
pub(super) struct RunningRequest<'a>(&'a ActivityMonitor);

impl Drop for RunningRequest<'_> {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

/// The time limits of connections.
#[derive(Clone, Copy)]
pub(super) struct ConnectionTimeouts {
    head: Duration,
    idle: Duration,
    write: Duration,
}

impl ConnectionTimeouts {
    pub(super) fn new(config: &GatewayConfig) -> Self {
        Self { head: config.header_timeout, idle: config.keep_alive, write: config.write_timeout }
    }
}

/// A future that ends when a limit is reached. The connection's task polls it after the connection, so that
/// the watchdog sees each change of the activity. The timer is moved only when a limit comes nearer, not with
/// each request.
pub(super) struct Watchdog<'a> {
    activity: &'a ActivityMonitor,
    timeouts: ConnectionTimeouts,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Watchdog<'a> {
    pub(super) fn new(activity: &'a ActivityMonitor, timeouts: ConnectionTimeouts) -> Self {
        Self { activity, timeouts, timer: Box::pin(sleep_until(activity.opened + timeouts.head)) }
    }
}

impl Future for Watchdog<'_> {
    type Output = TimeLimit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TimeLimit> {
        loop {
            let Some((deadline, limit)) = self.activity.deadline(&self.timeouts) else {
                return Poll::Pending;
            };
            if deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if deadline <= Instant::now() {
                return Poll::Ready(limit);
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}
