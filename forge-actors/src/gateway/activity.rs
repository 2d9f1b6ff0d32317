//! What one connection is doing, and since when: the basis of every time limit on it.
//!
//! ```text
//! opened ─first byte…─▶ head ─request complete─▶ busy ─last response─▶ idle ─first byte─▶ head …
//! ```
//! `head` ends after `header_timeout`, `idle` after `keep_alive`. `busy` lasts until the client has taken the
//! last response; it has no limit here, since bodies and handlers have limits of their own. Beside these, a
//! socket that takes nothing ends by its [`WriteAllowance`], and a closing connection after [`LINGER`].
//! HTTP/2 has no `head` after its first request: frames that open no stream must not prolong anything, so
//! `idle` covers them. Its streams are judged one by one (`http2_streams`), and end the connection when too
//! many of them are stalled.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use metrics::Counter;
use tokio::time::{Instant, Sleep, sleep_until};

use super::config::GatewayConfig;
use super::write_allowance::WriteAllowance;
use crate::kernel::time::minutes;

/// How long a refused client may keep sending before its connection is closed. Closing at once would reset
/// the connection, and the client would lose the response that says why (RFC 9112 §9.6).
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// Bytes that a socket takes before its client does. Measured over the loopback, whose segments are the
/// largest: a socket with TCP_NOTSENT_LOWAT at 16 KiB becomes writable whenever its client has read 125 KiB.
const SOCKET_BUFFERED_BYTES_MAX: u64 = 128 * 1024;
/// Responses that stall within [`STALLED_RESPONSES_WINDOW`] and end their HTTP/2 connection; fewer are reset
/// one by one, since a proxy's connection carries the requests of many clients.
const STALLED_RESPONSES_MAX: u32 = 8;
const STALLED_RESPONSES_WINDOW: Duration = minutes(1);

/// The value of a moment below while that activity is not going on.
const NEVER: u64 = u64::MAX;

/// The activity of one connection. Moments are milliseconds since `opened`. Written by the connection's task,
/// and by the tasks of HTTP/2 streams when requests begin and end; each field stands for itself, so relaxed
/// ordering is enough where nothing else is said.
pub(super) struct ActivityMonitor {
    opened: Instant,
    timeouts: ConnectionTimeouts,
    requests_running: AtomicU32,
    http2: AtomicBool,
    lingers: AtomicBool,
    head_since: AtomicU64,
    idle_since: AtomicU64,
    closing_since: AtomicU64,
    socket: WriteAllowance,
    /// Responses of which a part waits for the client.
    responses_waiting: AtomicU32,
    /// Responses that stalled since `stalled_first`.
    responses_stalled: AtomicU32,
    stalled_first: AtomicU64,
    stalled_total: Counter,
    /// The connection is to end, since its client does not take what it asks for.
    aborted: AtomicBool,
    /// Wakes the connection's task, which polls the watchdog.
    watchdog: AtomicWaker,
}

/// The limit that a connection has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeLimit {
    Head,
    Idle,
    Write,
    /// Too many streams of HTTP/2 were stalled, or one that could not be reset.
    Streams,
    Linger,
}

impl ActivityMonitor {
    /// `stalled_total` counts the responses that are cut since their clients do not take them.
    pub(super) fn new(config: &GatewayConfig, stalled_total: Counter) -> Self {
        let timeouts = ConnectionTimeouts::new(config);
        Self {
            opened: Instant::now(),
            timeouts,
            requests_running: AtomicU32::new(0),
            http2: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            closing_since: AtomicU64::new(NEVER),
            socket: WriteAllowance::new(timeouts.write, SOCKET_BUFFERED_BYTES_MAX),
            responses_waiting: AtomicU32::new(0),
            responses_stalled: AtomicU32::new(0),
            stalled_first: AtomicU64::new(0),
            stalled_total,
            aborted: AtomicBool::new(false),
            watchdog: AtomicWaker::new(),
        }
    }

    /// The head of a request has arrived. The request runs until the value that is returned is dropped.
    pub(super) fn request_begins(self: &Arc<Self>, http2: bool) -> RunningRequest {
        self.requests_running.fetch_add(1, Relaxed);
        self.head_since.store(NEVER, Relaxed);
        self.socket.renew();
        if http2 {
            self.http2.store(true, Relaxed);
        }
        RunningRequest { activity: Arc::clone(self) }
    }

    /// A request was answered before its body was read. The rest of the body is read and dropped for
    /// [`LINGER`], so that the client does not lose the response.
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

    /// The kernel took `taken` of `offered` bytes. When it took all of them, none waits.
    pub(super) fn bytes_written(&self, taken: usize, offered: usize) {
        self.socket.take(taken as u64, || self.micros());
        if taken == offered {
            self.socket.end_wait(|| self.micros());
        }
    }

    pub(super) fn set_stalled(&self) {
        self.socket.wait(|| self.micros());
    }

    /// A clock that stands still while the socket takes nothing: then no response is stalled by itself.
    pub(super) fn flowing_micros(&self) -> u64 {
        let now = self.micros();
        now.saturating_sub(self.socket.waited(now))
    }

    /// Part of a response begins to wait for the client.
    pub(super) fn response_waits(&self) {
        self.responses_waiting.fetch_add(1, Relaxed);
    }

    pub(super) fn response_waits_no_more(&self) {
        self.responses_waiting.fetch_sub(1, Relaxed);
    }

    /// Responses that share what the client takes.
    pub(super) fn responses_waiting(&self) -> u32 {
        self.responses_waiting.load(Relaxed)
    }

    /// A response was reset, since the client took nothing of it. Too many of them end the connection.
    pub(super) fn response_stalled(&self) {
        self.stalled_total.increment(1);
        let now = self.now();
        let since_first = Duration::from_millis(now.saturating_sub(self.stalled_first.load(Relaxed)));
        if since_first > STALLED_RESPONSES_WINDOW {
            self.stalled_first.store(now, Relaxed);
            self.responses_stalled.store(0, Relaxed);
        }
        if self.responses_stalled.fetch_add(1, Relaxed) + 1 >= STALLED_RESPONSES_MAX {
            self.abort();
        }
    }

    /// Ends the connection.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Relaxed);
        self.watchdog.wake();
    }

    pub(super) fn set_closing(&self) {
        if self.closing_since.load(Relaxed) == NEVER {
            self.closing_since.store(self.now(), Relaxed);
        }
    }

    fn request_ends(&self) {
        // A reader that sees that no request runs must see since when.
        self.idle_since.store(self.now(), Relaxed);
        if self.requests_running.fetch_sub(1, Release) == 1 && self.http2.load(Relaxed) {
            // The task of a stream ended the request, so the watchdog has not seen that idling began.
            self.watchdog.wake();
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(NEVER - 1)
    }

    /// The nearest limit of the current activity.
    fn deadline(&self) -> Option<(Instant, TimeLimit)> {
        let timeouts = &self.timeouts;
        let after = |since: u64, limit: Duration, expired| {
            (since != NEVER).then(|| (self.opened + Duration::from_millis(since) + limit, expired))
        };
        let write = self
            .socket
            .deadline()
            .and_then(|micros| self.opened.checked_add(Duration::from_micros(micros)))
            .map(|at| (at, TimeLimit::Write));
        let closing = after(self.closing_since.load(Relaxed), LINGER, TimeLimit::Linger);
        let read = if self.requests_running.load(Acquire) == 0 {
            let head = after(self.head_since.load(Relaxed), timeouts.head, TimeLimit::Head);
            head.or_else(|| after(self.idle_since.load(Relaxed), timeouts.idle, TimeLimit::Idle))
        } else {
            None
        };
        [write, closing, read].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// A request that runs until this is dropped.
pub(super) struct RunningRequest {
    activity: Arc<ActivityMonitor>,
}

impl RunningRequest {
    pub(super) fn activity(&self) -> &ActivityMonitor {
        &self.activity
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.activity.request_ends();
    }
}

/// The time limits of connections.
#[derive(Clone, Copy)]
struct ConnectionTimeouts {
    head: Duration,
    idle: Duration,
    write: Duration,
}

impl ConnectionTimeouts {
    fn new(config: &GatewayConfig) -> Self {
        Self { head: config.header_timeout, idle: config.keep_alive, write: config.write_timeout }
    }
}

/// A future that ends when a limit is reached. The connection's task polls it after the connection, so that
/// the watchdog sees each change of the activity. The timer is moved only when a limit comes nearer, not with
/// each request.
pub(super) struct ConnectionWatchdog<'a> {
    activity: &'a ActivityMonitor,
    timer: Pin<Box<Sleep>>,
}

impl<'a> ConnectionWatchdog<'a> {
    pub(super) fn new(activity: &'a ActivityMonitor) -> Self {
        Self { activity, timer: Box::pin(sleep_until(activity.opened + activity.timeouts.head)) }
    }
}

impl Future for ConnectionWatchdog<'_> {
    type Output = TimeLimit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TimeLimit> {
        self.activity.watchdog.register(cx.waker());
        if self.activity.aborted.load(Relaxed) {
            return Poll::Ready(TimeLimit::Streams);
        }
        loop {
            let Some((deadline, limit)) = self.activity.deadline() else {
                return Poll::Pending;
            };
            if deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if deadline <= Instant::now() {
                if limit == TimeLimit::Write {
                    self.activity.stalled_total.increment(1);
                }
                return Poll::Ready(limit);
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}
