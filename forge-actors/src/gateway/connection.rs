//! One connection: HTTP/1.1 or HTTP/2 (recognised by its preface) over a monitored socket.
//!
//! A panic in the gateway's own code ends the task of this connection and nothing else; the accept loop logs
//! it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;

use super::activity::{ActivityMonitor, ConnectionTimeouts, Watchdog};
use super::config::GatewayConfig;
use super::connection_table::ConnectionEntry;
use super::monitored_stream::MonitoredStream;
use super::response::Response;
use super::router;
use super::shared::GatewayShared;
use super::upgrade::Upgrade;
use crate::kernel::merge_slot::MergeSlot;

/// Streams that an HTTP/2 client may reset before it has to wait; more ends the connection (CVE-2023-44487,
/// "rapid reset").
const HTTP2_RESETS_PENDING_MAX: usize = 20;
/// Streams that may end by the client's own protocol errors before the connection ends (CVE-2025-8671).
const HTTP2_ERRORS_MAX: usize = 128;
/// Bytes of an answer that wait for the window of one HTTP/2 stream; further ones wait in the answer.
const HTTP2_SEND_BYTES_MAX: usize = 64 * 1024;
/// Time between two pings of an HTTP/2 connection, and the time for the answer; then the connection is
/// closed.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of HTTP. The time limits of heads and of idling are the watchdog's: hyper's own would set a
/// timer with each request.
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

/// Serves one connection to its end, or until its entry in the table of connections says that it is to end.
pub(super) async fn run(
    shared: Arc<GatewayShared>,
    protocol: Arc<Builder<TokioExecutor>>,
    stream: TcpStream,
    peer: SocketAddr,
    entry: Arc<ConnectionEntry>,
) {
    let activity = Arc::new(ActivityMonitor::new());
    let mut watchdog = pin!(Watchdog::new(&activity, ConnectionTimeouts::new(&shared.config)));
    let io = TokioIo::new(MonitoredStream::new(stream, Arc::clone(&activity)));
    let upgrade = Arc::new(MergeSlot::new());
    let service = service_fn(|request| {
        let (shared, activity, entry) = (Arc::clone(&shared), Arc::clone(&activity), Arc::clone(&entry));
        answer(shared, activity, entry, Arc::clone(&upgrade), peer, request)
    });
    let mut overdue = pin!(entry.overdue());
    let mut connection = pin!(protocol.serve_connection_with_upgrades(io, service));
    let mut is_closing = false;
    loop {
        // The watchdog reads what the connection wrote into the activity, so the connection is polled first.
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                match result {
                    Ok(()) => break,
                    Err(error) => return tracing::debug!(%peer, error, "connection ended"),
                }
            }
            limit = watchdog.as_mut() => {
                tracing::debug!(%peer, ?limit, "connection timed out");
                return;
            }
            () = overdue.as_mut() => {
                tracing::debug!(%peer, "idle connection closed for a new one");
                return;
            }
            () = entry.closing().cancelled(), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
    let granted: Option<Upgrade> = upgrade.try_take();
    if let Some(upgrade) = granted {
        upgrade.finish().await;
    }
}

async fn answer(
    shared: Arc<GatewayShared>,
    activity: Arc<ActivityMonitor>,
    entry: Arc<ConnectionEntry>,
    upgrade: Arc<MergeSlot<Upgrade>>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let _counted = entry.request_begins();
    let _running = activity.request_begins(request.version() == hyper::Version::HTTP_2);
    let served = router::serve(&shared, request, peer.ip()).await;
    if served.body_unread {
        activity.linger();
    }
    if let Some(granted) = served.upgrade {
        upgrade.put(|place| *place = Some(granted));
    }
    Ok(served.response)
}
