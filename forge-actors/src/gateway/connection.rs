//! One connection: HTTP/1.1 or HTTP/2 (recognised by its preface) over a monitored socket.
//!
//! A panic in the gateway's own code ends the task of this connection and nothing else; the accept loop logs
//! it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{Method, Request, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::activity::{ActivityMonitor, ConnectionWatchdog};
use super::config::GatewayConfig;
use super::connection_table::{ConnectionEntry, CountedRequest};
use super::http2_streams::{self, StreamExecutor};
use super::monitored_stream::MonitoredStream;
use super::response::{RefusedForLimit, Response};
use super::response_body::ResponseBody;
use super::router;
use super::shared::GatewayShared;
use super::upgrade::Upgrade;
use crate::kernel::byte_budget::BudgetClient;
use crate::kernel::merge_slot::MergeSlot;

/// Streams that an HTTP/2 client may reset before it has to wait; more ends the connection (CVE-2023-44487,
/// "rapid reset").
const HTTP2_RESETS_PENDING_MAX: usize = 20;
/// Streams that may end by the client's own protocol errors before the connection ends (CVE-2025-8671).
const HTTP2_ERRORS_MAX: usize = 128;
/// Bytes of a response that wait for the window of one HTTP/2 stream; further ones wait in the response.
const HTTP2_SEND_BYTES_MAX: usize = 64 * 1024;
/// Bytes that the kernel holds unsent above which a socket counts as not writable. The more, the longer a
/// slow client's progress stays hidden; 16 KiB are enough to keep a fast one busy.
const UNSENT_BYTES_MAX: u32 = 16 * 1024;
/// Time between two pings of an HTTP/2 connection, and the time for the response; then the connection is
/// closed.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Least pause before a refusal for a limit is sent; the longest is twice as long, so that clients that were
/// refused together do not come again together.
pub(super) const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// What all connections of a gateway have in common.
pub(super) type Protocol = Builder<StreamExecutor>;

/// The settings of HTTP. The time limits of heads and of idling are the watchdog's: hyper's own would set a
/// timer with each request.
pub(super) fn protocol(config: &GatewayConfig) -> Protocol {
    let mut builder = Builder::new(StreamExecutor::default());
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
    protocol: Arc<Protocol>,
    stream: TcpStream,
    peer: SocketAddr,
    entry: Arc<ConnectionEntry>,
) {
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::debug!(%peer, %error, "TCP_NOTSENT_LOWAT was refused: a slow client may be cut too early");
    }
    let activity = Arc::new(ActivityMonitor::new(&shared.config, shared.signals.responses_stalled()));
    let peer_client = shared.budget_client(peer.ip());
    let mut watchdog = pin!(ConnectionWatchdog::new(&activity));
    let io = TokioIo::new(MonitoredStream::new(stream, Arc::clone(&activity)));
    let upgrade = Arc::new(MergeSlot::new());
    let service = service_fn(|request| {
        let (shared, activity) = (Arc::clone(&shared), Arc::clone(&activity));
        let counted = entry.request_begins();
        let ip = shared.proxies.client(peer.ip(), request.headers());
        let client = if ip == peer.ip() { Arc::clone(&peer_client) } else { shared.budget_client(ip) };
        answer(shared, activity, client, counted, Arc::clone(&upgrade), ip, request)
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

/// Serves one request. A refusal for a limit is sent after a pause: a client that asks again at once would
/// cost the node more than the work that was refused. 1,300 sign-ins at a time got 20,000 refusals a second,
/// and the median of other calls went from 2 to 100 ms.
async fn answer(
    shared: Arc<GatewayShared>,
    activity: Arc<ActivityMonitor>,
    client: Arc<BudgetClient<IpAddr>>,
    counted: CountedRequest,
    upgrade: Arc<MergeSlot<Upgrade>>,
    ip: IpAddr,
    request: Request<Incoming>,
) -> Result<hyper::Response<ResponseBody>, Infallible> {
    let http2 = request.version() == Version::HTTP_2;
    let without_body = request.method() == Method::HEAD;
    let running = activity.request_begins(http2);
    // On the heap while the request runs: hyper keeps the space of this future for as long as the connection
    // is open, which would be 17 KiB for each idle one.
    let served = Box::pin(router::serve(&shared, request, ip, &client)).await;
    if served.body_unread {
        activity.linger();
    }
    if let Some(granted) = served.upgrade {
        upgrade.put(|place| *place = Some(granted));
    }
    let mut response = served.response;
    let is_refused = response.extensions_mut().remove::<RefusedForLimit>().is_some();
    if without_body {
        remove_body(&mut response);
    }
    let (head, content) = response.into_parts();
    let stream_timeout = http2.then_some(shared.config.write_timeout);
    let body = content.into_body((running, counted), &client, stream_timeout);
    // The response is counted while it waits.
    if is_refused && let Ok(_pause) = shared.refusal_pauses.try_acquire() {
        sleep(REFUSAL_PAUSE.mul_f64(1.0 + fastrand::f64())).await;
    }
    http2_streams::watch_delivery(body.delivery());
    Ok(hyper::Response::from_parts(head, body))
}

/// Leaves the length of a body that a HEAD does not get. hyper would leave it out for HTTP/1.1 only.
fn remove_body(response: &mut Response) {
    let bytes = std::mem::take(response.body_mut()).len();
    if bytes > 0 {
        response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    }
}
