//! How far the client has taken one response, from its first byte until nothing of it is left in memory.
//!
//! A delivery is kept by the response's body, by the frame of it that hyper holds, and, for HTTP/2, by the
//! task of the stream. While it lives, the request counts as running and its bytes as used.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::task::AtomicWaker;
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::RunningRequest;
use super::connection_table::CountedRequest;
use super::write_allowance::WriteAllowance;
use crate::kernel::byte_budget::Charge;

/// Size of an HTTP/2 window: buffers may take this much before the client reads it, so the time earned for it
/// is kept.
const WINDOW_BYTES_MAX: u64 = 1024 * 1024;

pub(super) struct ResponseDelivery {
    request: RunningRequest,
    /// The connection is not idle, and so not evicted.
    _counted: CountedRequest,
    /// `None` for a response that costs no memory.
    _charge: Option<Charge<IpAddr>>,
    /// hyper holds a frame of the response.
    frame_out: AtomicBool,
    /// The task that waits for the frame to be taken.
    waiting_task: AtomicWaker,
    /// Judges a stream of HTTP/2. A connection of HTTP/1.1 has one response at a time, and is judged itself.
    allowance: Option<WriteAllowance>,
}

/// A part of a response, in the hands of hyper.
pub(super) struct ResponseFrame {
    bytes: Bytes,
    delivery: Arc<ResponseDelivery>,
}

impl ResponseDelivery {
    /// `stream_timeout` is the time in which the client of an HTTP/2 stream must take something.
    pub(super) fn new(
        (request, counted): (RunningRequest, CountedRequest),
        charge: Option<Charge<IpAddr>>,
        stream_timeout: Option<Duration>,
    ) -> Self {
        Self {
            request,
            _counted: counted,
            _charge: charge,
            frame_out: AtomicBool::new(false),
            waiting_task: AtomicWaker::new(),
            allowance: stream_timeout.map(|timeout| WriteAllowance::new(timeout, WINDOW_BYTES_MAX)),
        }
    }

    /// The next part of the response. The previous one must have been taken.
    pub(super) fn hand_over(self: &Arc<Self>, bytes: Bytes) -> ResponseFrame {
        self.frame_out.store(true, Release);
        if let Some(allowance) = &self.allowance {
            self.request.activity().response_waits();
            allowance.wait(|| self.request.activity().flowing_micros());
        }
        ResponseFrame { bytes, delivery: Arc::clone(self) }
    }

    /// Ready when hyper holds nothing of the response.
    pub(super) fn poll_taken(&self, cx: &Context<'_>) -> Poll<()> {
        if self.frame_out.load(Acquire) {
            self.waiting_task.register(cx.waker());
            if self.frame_out.load(Acquire) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Ready when the client took nothing of the stream for too long. `timer` is the caller's, kept between
    /// polls.
    pub(super) fn poll_stalled(&self, cx: &mut Context<'_>, timer: &mut Option<Pin<Box<Sleep>>>) -> Poll<()> {
        loop {
            let Some(left) = self.time_left() else { return Poll::Pending };
            if left.is_zero() {
                return Poll::Ready(());
            }
            let at = Instant::now() + left;
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            // The timer is moved only when the end comes nearer, not with each byte that is taken.
            if at < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The stream was reset, since its client took nothing of the response.
    pub(super) fn report_stalled(&self) {
        self.request.activity().response_stalled();
    }

    /// Ends the connection: the client does not take the rest of the response, and it is too late to reset
    /// the stream.
    pub(super) fn abort_connection(&self) {
        self.request.activity().response_stalled();
        self.request.activity().abort();
    }

    /// `None` while nothing waits for the client.
    fn time_left(&self) -> Option<Duration> {
        let deadline = self.allowance.as_ref()?.deadline()?;
        Some(Duration::from_micros(deadline.saturating_sub(self.request.activity().flowing_micros())))
    }

    /// The client took `bytes`. The responses of a connection share what it takes, so each of them earns time
    /// for all.
    fn take(&self, bytes: usize) {
        if let Some(allowance) = &self.allowance {
            let activity = self.request.activity();
            let shared = u64::from(activity.responses_waiting().max(1));
            allowance.take((bytes as u64).saturating_mul(shared), || activity.flowing_micros());
        }
    }

    fn frame_taken(&self) {
        if let Some(allowance) = &self.allowance {
            allowance.end_wait(|| self.request.activity().flowing_micros());
            self.request.activity().response_waits_no_more();
        }
        self.frame_out.store(false, Release);
        self.waiting_task.wake();
    }
}

impl Buf for ResponseFrame {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.delivery.take(count);
    }
}

impl Drop for ResponseFrame {
    fn drop(&mut self) {
        self.delivery.frame_taken();
    }
}
