//! One connection: HTTP/1.1 or HTTP/2 (by its preface) over a socket that keeps the [`Pulse`].
//!
//! A panic in the gateway's own code ends this connection's task and nothing else; the accept loop reports
//! it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::config::GatewayConfig;
use super::pulse::{Limits, Pulse, Watchdog};
use super::routes::{Border, Gateway};
use super::upgrade::Upgrade;
use crate::kernel::slot::Slot;

/// Streams that an HTTP/2 client may reset before it has to wait; more ends the connection (CVE-2023-44487,
/// "rapid reset").
const HTTP2_RESETS_PENDING_MAX: usize = 20;
/// Streams that may end by the client's own protocol errors before the connection ends (CVE-2025-8671).
const HTTP2_ERRORS_MAX: usize = 128;
/// Answer bytes that wait for one HTTP/2 stream's window.
const HTTP2_SEND_BYTES_MAX: usize = 64 * 1024;
/// A dead peer shows after this time without an answer to a ping, and the timeout below.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that a refused client may still send before its connection is closed under it.
const LINGER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How connections speak HTTP. Time limits of heads and idling are the pulse's: hyper's own would set a timer
/// with each request.
pub(super) fn protocol(config: &GatewayConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(config.header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.http2_streams_max)
        .max_header_list_size(u32::try_from(config.header_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(HTTP2_RESETS_PENDING_MAX)
        .max_local_error_reset_streams(HTTP2_ERRORS_MAX)
        .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    builder
}

/// Serves one connection to its end. `closing` asks it to end after the requests in flight.
pub(super) async fn run<B: Border>(
    gateway: Gateway<B>,
    protocol: Arc<Builder<TokioExecutor>>,
    stream: TcpStream,
    peer: SocketAddr,
    closing: CancellationToken,
) {
    let pulse = Arc::new(Pulse::new());
    let mut watchdog = pin!(Watchdog::new(&pulse, Limits::new(gateway.config())));
    let io = TokioIo::new(Watched { stream, pulse: Arc::clone(&pulse), lingered: 0 });
    let upgrade = Arc::new(Slot::new());
    let service = service_fn(|request| {
        answer(gateway.clone(), Arc::clone(&pulse), Arc::clone(&upgrade), peer, request)
    });
    let mut connection = pin!(protocol.serve_connection_with_upgrades(io, service));
    let mut asked_to_close = false;
    loop {
        // The watchdog reads what the connection wrote into the pulse, so the connection comes first.
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                match result {
                    Ok(()) => break,
                    Err(error) => return tracing::debug!(%peer, error, "connection ended"),
                }
            }
            expired = watchdog.as_mut() => {
                tracing::debug!(%peer, ?expired, "connection closed: its time is up");
                return;
            }
            () = closing.cancelled(), if !asked_to_close => {
                asked_to_close = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
    let granted: Option<Upgrade> = upgrade.try_take();
    if let Some(upgrade) = granted {
        upgrade.finish().await;
    }
}

async fn answer<B: Border>(
    gateway: Gateway<B>,
    pulse: Arc<Pulse>,
    upgrade: Arc<Slot<Upgrade>>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<super::routes::Response, Infallible> {
    let in_flight = InFlight::new(&pulse, request.version() == hyper::Version::HTTP_2);
    let answer = gateway.answer(request, peer.ip()).await;
    if answer.unread {
        in_flight.0.linger();
    }
    if let Some(granted) = answer.upgrade {
        upgrade.put(|place| *place = Some(granted));
    }
    Ok(answer.response)
}

/// One request in flight, however it ends.
struct InFlight<'a>(&'a Pulse);

impl<'a> InFlight<'a> {
    fn new(pulse: &'a Pulse, http2: bool) -> Self {
        pulse.request_begins(http2);
        Self(pulse)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

/// The socket, telling the pulse what passes.
pub(super) struct Watched {
    stream: TcpStream,
    pulse: Arc<Pulse>,
    lingered: u64,
}

impl Watched {
    /// The socket alone: what speaks over it from now on has limits of its own.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn wrote(&self, result: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(taken)) => self.pulse.bytes_went(*taken, offered),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.pulse.write_stalls(),
        }
        result
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.bytes_came();
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result, bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if !self.pulse.lingers() {
            return Poll::Ready(Ok(()));
        }
        self.pulse.closes();
        let mut scratch = [0; 8 * 1024];
        while self.lingered < LINGER_BYTES_MAX {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.lingered += buf.filled().len() as u64,
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
