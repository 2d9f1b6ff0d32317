//! Answers on the port of a node that starts: migrations may take minutes, and probes must not take the node
//! for dead meanwhile. `/health` is 200; `/ready`, and everything else, is 503 until the listener has the
//! port.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::envelope;
use super::port::Port;
use super::router::LIVE;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::{millis, secs};
use crate::kernel::trace::TraceContext;
use crate::subsystem::{ReadinessCheck, ReadinessReport};

/// Connections that are served at a time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// Time for a connection, from its first byte to its last.
const CONNECTION_TIMEOUT: Duration = secs(2);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = millis(100);
/// When a client that was refused may try again.
const RETRY: Duration = secs(1);

/// Answers until the listener of the node takes the port, and does nothing from then on.
pub async fn answer_while_starting(port: &Port) -> Infallible {
    if let Ok(listener) = port.starting_listener() {
        tokio::select! {
            biased;
            () = port.taken() => {}
            never = serve(&listener) => match never {},
        }
    }
    std::future::pending().await
}

async fn serve(listener: &TcpListener) -> Infallible {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = open.next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => open.push(serve_one(stream)),
                Err(error) => {
                    tracing::debug!(%error, "accepting a connection failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn serve_one(stream: TcpStream) {
    let service = service_fn(|request: Request<_>| async move { Ok::<_, Infallible>(answer(&request)) });
    let mut protocol = http1::Builder::new();
    let connection =
        protocol.timer(TokioTimer::new()).keep_alive(false).serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(CONNECTION_TIMEOUT, connection).await {
        tracing::debug!(%error, "a connection to the starting node ended");
    }
}

fn answer<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    let (status, body) = match request.uri().path() {
        "/health" => (StatusCode::OK, Bytes::from_static(LIVE)),
        "/ready" => (StatusCode::SERVICE_UNAVAILABLE, report()),
        _ => {
            let fault = Fault::new(Code::Unavailable, "the node is starting").retry_after(RETRY);
            let trace = TraceContext::new_root();
            (StatusCode::SERVICE_UNAVAILABLE, envelope::error(&fault, &trace.trace_id_hex()))
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, envelope::retry_after_seconds(RETRY).into());
    }
    response
}

fn report() -> Bytes {
    let check = ReadinessCheck { name: "start", ready: false, reason: Some("the node is starting".into()) };
    let report = ReadinessReport { ready: false, draining: false, checks: vec![check] };
    serde_json::to_vec(&report).expect("a report has only string keys").into()
}
